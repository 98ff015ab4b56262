'use strict';

// nginx configurations for tests, from plain objects.

/**
 * Directives of an object: a string is a value, an object a block, an array a
 * directive that is repeated, null leaves it out.
 */
function directives(values, indent = '') {
  return Object.entries(values)
    .filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([name, value]) => [].concat(value).map((one) => (
      typeof one === 'object' ? block(name, one, indent)
        : `${indent}${name} ${one};\n`)))
    .join('');
}

function block(head, values, indent) {
  return `${indent}${head} {\n${
    directives(values, `${indent}    `)}${indent}}\n`;
}

/**
 * The whole file.  s: dir, port, loadModule; optional workers, level (of the
 * error log), connections, main, http, server (objects of directives), listen
 * (parameters), tls ({ cert, key }: files), gateways ({ name: directives }),
 * locations ({ path: directives }).
 */
function render(s) {
  const gateways = Object.entries(s.gateways).map(([name, values]) => (
    block(`socketio_gateway ${name}`, values, '    ')));
  const locations = Object.entries(s.locations).map(([path, values]) => (
    block(`location ${path}`, values, '        ')));
  const listen = [`127.0.0.1:${s.port}`, s.tls && 'ssl', s.listen]
    .filter(Boolean).join(' ');
  const tls = s.tls
    ? { ssl_certificate: s.tls.cert, ssl_certificate_key: s.tls.key } : {};

  return `${s.loadModule}
daemon off;
master_process on;
user root;
worker_processes ${s.workers || 1};
pid ${s.dir}/nginx.pid;
error_log ${s.dir}/error.log ${s.level || process.env.SIO_LEVEL || 'info'};
${directives(s.main || {})}
events {
    worker_connections ${s.connections || 4096};
}

http {
    access_log off;
    client_body_temp_path ${s.dir}/body;
    proxy_temp_path ${s.dir}/proxy;
    fastcgi_temp_path ${s.dir}/fastcgi;
    uwsgi_temp_path ${s.dir}/uwsgi;
    scgi_temp_path ${s.dir}/scgi;
${directives(s.http || {}, '    ')}
${gateways.join('\n')}
    server {
        listen ${listen};
${directives({ ...tls, ...s.server }, '        ')}
${locations.join('\n')}
    }
}
`;
}

module.exports = { render };
