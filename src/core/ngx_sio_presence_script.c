
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_presence_script.h"

#include <ngx_sha1.h>


/*
 * All scripts begin with this.  It refuses a call that is late, finds or begins
 * the epoch, and renews the lease.
 *
 * An epoch ends when Redis has lost something: all (no epoch), one of the keys
 * (evicted), or what was written last (restarted from an older file: a version
 * or an epoch that is older than what a node knows; then the data stay, under
 * another epoch).  Each node that meets another epoch than it knows says anew
 * whom it has; until all had time for it nobody is offline.
 */

static const char  ngx_sio_presence_script_begin[] =
    "local online, nodes, state, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"
    "local node, stamp, ttl, channel = ARGV[1], ARGV[2], ARGV[3] + 0, ARGV[4]\n"
    "local known, seen, had = ARGV[6], ARGV[7] + 0, ARGV[8] + 0\n"
    "local sets = string.sub(own, 1, -1 - #node)\n"
    "local call = redis.call\n"
    "\n"
    "local time = call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "\n"
    "local s = call('HMGET', state, 'epoch', 'version', 'born', 'settle',\n"
    "               'fence:' .. node, 'up:' .. node)\n"
    "local epoch, version, born = s[1], tonumber(s[2]), tonumber(s[3])\n"
    "local settle, fence, up = s[4], s[5], tonumber(s[6])\n"
    "\n"
    "if fence and stamp <= fence then\n"
    "    return redis.error_reply('STALE call of this node')\n"
    "end\n"
    "\n"
    "local ids = call('ZRANGE', nodes, 0, -1)\n"
    "local lease = tonumber(call('ZSCORE', nodes, node))\n"
    "local before = call('SCARD', own)\n"
    "\n"
    "local function begin()\n"
    "    epoch, born, settle = ARGV[5], now, false\n"
    "    call('HSET', state, 'epoch', epoch, 'born', born)\n"
    "    call('HDEL', state, 'settle')\n"
    "end\n"
    "\n"

    /* as long as the lease lasts nobody else removes users of this node */

    "if not epoch or not version or not born or #ids == 0\n"
    "   or lease and call('SCARD', online) < before\n"
    "   or known == epoch and had >= 0 and had ~= before\n"
    "      and lease and lease >= now\n"
    "then\n"
    "    for i = 1, #ids do\n"
    "        call('DEL', sets .. ids[i])\n"
    "    end\n"
    "    call('DEL', online, nodes, state, own)\n"
    "    ids, lease, before, version, up = {}, nil, 0, 0, nil\n"
    "    begin()\n"
    "    call('HSET', state, 'version', version)\n"
    "elseif known == epoch and seen > version\n"
    "   or known ~= epoch and known ~= '' and now - born > ttl\n"
    "then\n"
    "    begin()\n"
    "end\n"
    "\n"
    "if known ~= epoch and known ~= '' and not settle then\n"
    "    settle = true\n"
    "    call('HSET', state, 'settle', 1)\n"
    "end\n"
    "\n"
    "if not lease then\n"
    "    call('DEL', own)\n"
    "    before = 0\n"
    "    ids[#ids + 1] = node\n"
    "end\n"
    "\n"
    "if not lease or not up or now - (lease - ttl) > ttl / 2 then\n"
    "    up = now\n"
    "    call('HSET', state, 'up:' .. node, up)\n"
    "end\n"
    "\n"
    "call('HSET', state, 'fence:' .. node, stamp)\n"
    "call('ZADD', nodes, now + ttl, node)\n"
    "\n"
    "local message = {epoch, 0}\n"
    "\n"

    /* a user of a node who is not in its set any more */

    "local function gone(user)\n"
    "    for i = 1, #ids do\n"
    "        if call('SISMEMBER', sets .. ids[i], user) == 1 then\n"
    "            return\n"
    "        end\n"
    "    end\n"
    "    if call('SREM', online, user) == 1 then\n"
    "        message[#message + 1] = '-' .. user\n"
    "    end\n"
    "end\n"
    "\n"

    /*
     * Keys that nobody touches any more do not stay.  A node's set outlives
     * the list, in which its users would be found by nobody.
     */

    "local function finish(...)\n"
    "    if #message > 2 then\n"
    "        version = call('HINCRBY', state, 'version', 1)\n"
    "        message[2] = version\n"
    "        call('PUBLISH', channel, cjson.encode(message))\n"
    "    end\n"
    "    for i = 1, 3 do\n"
    "        call('EXPIRE', KEYS[i], 300)\n"
    "    end\n"
    "    call('EXPIRE', own, 600)\n"
    "    return {epoch, version, before, call('SCARD', own),\n"
    "            call('SCARD', online),\n"
    "            settle and math.max(0, born + ttl - now) or 0, ...}\n"
    "end\n"
    "\n";


static const char  ngx_sio_presence_script_change[] =
    "for i = 9, #ARGV do\n"
    "    local user = string.sub(ARGV[i], 2)\n"
    "    if string.sub(ARGV[i], 1, 1) == '+' then\n"
    "        call('SADD', own, user)\n"
    "        if call('SADD', online, user) == 1 then\n"
    "            message[#message + 1] = ARGV[i]\n"
    "        end\n"
    "    else\n"
    "        call('SREM', own, user)\n"
    "        gone(user)\n"
    "    end\n"
    "end\n"
    "\n"
    "return finish()\n";


/*
 * Removes the users of nodes that have not renewed their leases.  Time in
 * which this node's own calls were not served does not count: then nobody's
 * were, and who was late may come next.
 */

static const char  ngx_sio_presence_script_renew[] =
    "local linger, limit = ARGV[9] + 0, ARGV[10] + 0\n"
    "local more, removed, dead = 0, 0, {}\n"
    "\n"
    "for i = 1, #ids do\n"
    "    local id = ids[i]\n"
    "    local last = call('ZSCORE', nodes, id) - ttl\n"
    "\n"
    "    if now - math.max(last, up) > ttl + linger then\n"
    "        local users = {}\n"
    "\n"
    "        if limit > 0 then\n"
    "            users = call('SPOP', sets .. id, limit)\n"
    "        end\n"
    "        for k = 1, #users do\n"
    "            gone(users[k])\n"
    "        end\n"
    "\n"
    "        limit = limit - #users\n"
    "        removed = removed + #users\n"
    "\n"
    "        if call('EXISTS', sets .. id) == 1 then\n"
    "            more = 1\n"
    "        else\n"
    "            dead[#dead + 1] = id\n"
    "            call('ZREM', nodes, id)\n"
    "            call('HDEL', state, 'fence:' .. id, 'up:' .. id)\n"
    "        end\n"
    "    end\n"
    "end\n"
    "\n"
    "return finish(more, removed, dead)\n";


static const char  ngx_sio_presence_script_read[] =
    "return finish(call('SMEMBERS', ARGV[9] == 'own' and own or online))\n";


static const char  *ngx_sio_presence_script_bodies[] = {
    ngx_sio_presence_script_change,
    ngx_sio_presence_script_renew,
    ngx_sio_presence_script_read
};

static ngx_str_t    ngx_sio_presence_script_texts[NGX_SIO_PRESENCE_SCRIPTS];
static char         ngx_sio_presence_script_shas[NGX_SIO_PRESENCE_SCRIPTS][41];


ngx_int_t
ngx_sio_presence_script_init(ngx_log_t *log)
{
    size_t       len;
    u_char      *p, sha[20];
    ngx_str_t   *text;
    ngx_uint_t   i;
    ngx_sha1_t   ctx;

    for (i = 0; i < NGX_SIO_PRESENCE_SCRIPTS; i++) {

        text = &ngx_sio_presence_script_texts[i];

        if (text->data) {
            continue;
        }

        len = ngx_strlen(ngx_sio_presence_script_bodies[i]);

        p = ngx_alloc(sizeof(ngx_sio_presence_script_begin) - 1 + len, log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text->data = p;

        p = ngx_cpymem(p, ngx_sio_presence_script_begin,
                       sizeof(ngx_sio_presence_script_begin) - 1);
        p = ngx_cpymem(p, ngx_sio_presence_script_bodies[i], len);

        text->len = p - text->data;

        ngx_sha1_init(&ctx);
        ngx_sha1_update(&ctx, text->data, text->len);
        ngx_sha1_final(sha, &ctx);

        p = ngx_hex_dump((u_char *) ngx_sio_presence_script_shas[i], sha, 20);
        *p = '\0';
    }

    return NGX_OK;
}


const ngx_str_t *
ngx_sio_presence_script(ngx_uint_t script)
{
    return &ngx_sio_presence_script_texts[script];
}


const char *
ngx_sio_presence_script_sha(ngx_uint_t script)
{
    return ngx_sio_presence_script_shas[script];
}
