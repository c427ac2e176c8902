/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/account.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

#define NAME_MAX_LENGTH 32
#define HOME_MAX_LENGTH 1024

bool account_name_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n > 0 && n <= NAME_MAX_LENGTH && !name[n] && *name != '-' && *name != '.';
}

static bool to_number(const char *text, size_t length, uint32_t *ret)
{
    uint64_t value = 0;

    if (length == 0 || length > 10)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = (uint32_t)value;
    return value < UINT32_MAX;
}

static bool home_is_sane(const char *text, size_t length)
{
    if (length < 2 || length > HOME_MAX_LENGTH || *text != '/')
        return false;
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]) ||
            (text[i] == '/' && i + 1 < length && text[i + 1] == '.'))
            return false;
    return true;
}

#define FIELDS 7

/* Field i of line is field[i], of length[i]; false unless there are as many as passwd(5) says. */
static bool split(const char *line, const char *field[FIELDS], size_t length[FIELDS])
{
    size_t left = strcspn(line, "\n");

    for (size_t i = 0; i < FIELDS; i++) {
        const char *colon = memchr(line, ':', left);
        size_t n = colon ? (size_t)(colon - line) : left;

        if (!colon && i + 1 < FIELDS)
            return false;
        field[i] = line;
        length[i] = n;
        line += n + (colon ? 1 : 0);
        left -= n + (colon ? 1 : 0);
    }
    return true;
}

bool account_find(const char *passwd, const char *name, struct account *ret_account)
{
    size_t n = strlen(name);

    for (; *passwd; passwd += strcspn(passwd, "\n"), passwd += *passwd == '\n') {
        const char *field[FIELDS];
        size_t length[FIELDS];
        struct account found;

        if (!split(passwd, field, length) || length[0] != n || memcmp(field[0], name, n) != 0)
            continue;
        if (!to_number(field[2], length[2], &found.uid) ||
            !to_number(field[3], length[3], &found.gid) || !home_is_sane(field[5], length[5]))
            return false;
        while (length[5] > 1 && field[5][length[5] - 1] == '/')
            length[5]--;
        found.home = str_format("%.*s", (int)length[5], field[5]);
        *ret_account = found;
        return true;
    }
    return false;
}

size_t shadow_lock(const char *shadow, struct buffer *out, struct buffer *users)
{
    size_t count = 0;

    while (*shadow) {
        size_t length = strcspn(shadow, "\n"), name = strcspn(shadow, ":\n");
        char first = shadow[name] == ':' ? shadow[name + 1] : '!';

        length += shadow[length] == '\n';
        if (first == '!' || first == '*' || *shadow == '+' || *shadow == '-') {
            buffer_add(out, shadow, length);
        } else {
            buffer_add(out, shadow, name + 1);
            buffer_add_text(out, "!");
            buffer_add(out, shadow + name + 1, length - name - 1);
            buffer_printf(users, "%s%.*s", count > 0 ? ", " : "", (int)name, shadow);
            count++;
        }
        shadow += length;
    }
    return count;
}
