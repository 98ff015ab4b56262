
/*
 * Copyright (C) The authors of the Socket.IO module for nginx
 */


#include "sio_event.h"
#include "sio_json.h"

#include <stdio.h>


static sio_rc_t sio_event_name(const sio_str_t *value, sio_buf_t *name);
static sio_rc_t sio_event_integer(sio_buf_t *b, json_int_t n);


sio_rc_t
sio_event_read(const sio_str_t *payload, sio_buf_t *name, sio_str_t *args)
{
    sio_str_t             value;
    const unsigned char  *p, *last;

    if (payload->len == 0 || sio_json_first(payload, &value) != SIO_OK) {
        return SIO_ERROR;
    }

    /* behind the name stand a comma, or the bracket that is the last byte */

    last = payload->data + payload->len - 1;
    p = sio_json_space(value.data + value.len, last);

    if (p < last) {
        p++;
    }

    args->data = p;
    args->len = last - p;

    return sio_event_name(&value, name);
}


static sio_rc_t
sio_event_name(const sio_str_t *value, sio_buf_t *name)
{
    json_t    *json;
    sio_rc_t   rc;

    rc = sio_json_load(value->data, value->len, &json);

    if (rc != SIO_OK) {
        return rc;
    }

    switch (json_typeof(json)) {

    case JSON_STRING:
        rc = sio_buf_append(name, json_string_value(json),
                            json_string_length(json));
        break;

    case JSON_INTEGER:
        rc = sio_event_integer(name, json_integer_value(json));
        break;

    case JSON_REAL:
        rc = sio_json_double(name, json_real_value(json));
        break;

    default:
        rc = SIO_ERROR;
        break;
    }

    json_decref(json);

    return rc;
}


static sio_rc_t
sio_event_integer(sio_buf_t *b, json_int_t n)
{
    int   len;
    char  text[32];

    len = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, n);

    return sio_buf_append(b, text, len);
}
