/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/disk.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "morph/buffer.h"

#define NBD_PORT 10809

static int hex_digit(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX in [text, text+length) decoded into new memory; NULL for a broken or zero escape. */
static char *percent_decode(const char *text, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0};

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '%') {
            int hi = length - i > 2 ? hex_digit(text[i + 1]) : -1;
            int lo = length - i > 2 ? hex_digit(text[i + 2]) : -1;

            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return NULL;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        buffer_add(&out, &c, 1);
    }
    return buffer_steal(&out);
}

void disk_spec_done(struct disk_spec *spec)
{
    free(spec->file);
    free(spec->socket);
    free(spec->host);
    free(spec->export_name);
    *spec = (struct disk_spec){0};
}

/* "socket=PATH" among the &-separated parameters of query. */
static char *query_socket(const char *query)
{
    while (query && *query) {
        size_t length = strcspn(query, "&");

        if (length > 7 && strncmp(query, "socket=", 7) == 0)
            return percent_decode(query + 7, length - 7);
        query += length + (query[length] == '&');
    }
    return NULL;
}

static int parse_unix(const char *rest, struct disk_spec *spec)
{
    size_t length = strcspn(rest, "?");

    if (rest[0] != '/' || rest[length] != '?')
        return -EINVAL;
    spec->export_name = percent_decode(rest + 1, length - 1);
    spec->socket = query_socket(rest + length + 1);
    return spec->export_name && spec->socket ? 0 : -EINVAL;
}

static int parse_tcp(const char *rest, struct disk_spec *spec)
{
    size_t length = strcspn(rest, "/");
    const char *host = rest, *port = NULL, *end = rest + length;
    unsigned long number = NBD_PORT;
    char *stop;

    if (*host == '[') { /* [IPv6] */
        const char *close = memchr(host, ']', length);

        if (!close)
            return -EINVAL;
        spec->host = percent_decode(host + 1, (size_t)(close - host - 1));
        if (close + 1 < end)
            port = close + 1;
    } else {
        port = memchr(host, ':', length);
        spec->host = percent_decode(host, (size_t)((port ? port : end) - host));
    }
    if (!spec->host || !*spec->host || strpbrk(rest, "?#@"))
        return -EINVAL;
    if (port) {
        if (*port != ':' || !isdigit((unsigned char)port[1]))
            return -EINVAL;
        number = strtoul(port + 1, &stop, 10);
        if (stop != end || number == 0 || number > UINT16_MAX)
            return -EINVAL;
    }
    spec->port = (uint16_t)number;
    spec->export_name = *end ? percent_decode(end + 1, strlen(end + 1)) : str_dup("");
    return spec->export_name ? 0 : -EINVAL;
}

int disk_spec_parse(const char *text, struct disk_spec *ret_spec, struct error **err)
{
    struct disk_spec spec = {0};
    int r = 0;

    if (str_starts(text, "nbd+unix://"))
        r = parse_unix(text + strlen("nbd+unix://"), &spec);
    else if (str_starts(text, "nbd://"))
        r = parse_tcp(text + strlen("nbd://"), &spec);
    else if (strstr(text, "://") || !*text)
        r = -EINVAL;
    else
        spec.file = str_dup(text);
    if (r < 0) {
        disk_spec_done(&spec);
        return error_set(err, EINVAL,
                         "disk '%s' is neither a file nor an NBD URI this program understands; use "
                         "nbd+unix:///EXPORT?socket=PATH, nbd://HOST[:PORT]/EXPORT or a path",
                         text);
    }
    *ret_spec = spec;
    return 0;
}
