/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/sshkey.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"

static int digit_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Decodes up to `size` bytes of base64; how many there were, or -1 for what is no base64. */
static int decode(const char *text, size_t length, unsigned char *out, size_t size)
{
    unsigned bits = 0;
    size_t count = 0;
    int have = 0;

    while (length > 0 && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        int value = digit_value(text[i]);

        if (value < 0)
            return -1;
        bits = (bits << 6 | (unsigned)value) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (count < size)
                out[count++] = (unsigned char)(bits >> have);
        }
    }
    return (int)count;
}

static bool is_type(const char *word, size_t length)
{
    static const char *const types[] = {"ssh-ed25519",
                                        "ssh-rsa",
                                        "ssh-dss",
                                        "ecdsa-sha2-nistp256",
                                        "ecdsa-sha2-nistp384",
                                        "ecdsa-sha2-nistp521",
                                        "sk-ssh-ed25519@openssh.com",
                                        "sk-ecdsa-sha2-nistp256@openssh.com"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strlen(types[i]) == length && memcmp(types[i], word, length) == 0)
            return true;
    return false;
}

/* The blob begins with the type once more, its length in four bytes before it. */
static bool blob_is_of(const char *blob, size_t blob_length, const char *type, size_t type_length)
{
    unsigned char head[64];
    int count = decode(blob, blob_length, head, sizeof(head));

    return count > (int)type_length + 4 && head[0] == 0 && head[1] == 0 && head[2] == 0 &&
           head[3] == type_length && memcmp(head + 4, type, type_length) == 0;
}

/* Blanks inside double quotes belong to an option. */
static size_t word_length(const char *at, const char *end)
{
    const char *p = at;
    bool quoted = false;

    for (; p < end && (quoted || (*p != ' ' && *p != '\t')); p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (*p == '"')
            quoted = !quoted;
    }
    return (size_t)(p - at);
}

static bool parse_line(const char *line, size_t length, struct sshkey *ret_key)
{
    const char *end = line + length, *previous = NULL;
    size_t previous_length = 0;

    if (length > 0 && end[-1] == '\r')
        end--;
    for (const char *at = line; at < end;) {
        size_t n = word_length(at, end);

        if (n == 0) {
            at++;
            continue;
        }
        if (at == line && *at == '#')
            return false;
        if (previous && is_type(previous, previous_length)) {
            *ret_key = (struct sshkey){line, (size_t)(end - line), at, n};
            return blob_is_of(at, n, previous, previous_length);
        }
        previous = at;
        previous_length = n;
        at += n;
    }
    return false;
}

bool sshkey_next(const char **cursor, struct sshkey *ret_key)
{
    while (**cursor) {
        const char *line = *cursor + strspn(*cursor, " \t");
        size_t length = strcspn(line, "\n");

        *cursor = line + length + (line[length] == '\n');
        if (parse_line(line, length, ret_key))
            return true;
    }
    return false;
}

static bool is_blank(const char *line, size_t length)
{
    size_t n = strspn(line, " \t\r");

    return n >= length || line[n] == '#';
}

int sshkey_check(const char *text, size_t length, struct error **err)
{
    size_t count = 0, number = 0;

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' && !strchr("\n\t\r", text[i] ? text[i] : 'x'))
            return error_set(err, EINVAL, "this is no file of public keys");
    if (strstr(text, "PRIVATE KEY"))
        return error_set(err, EINVAL, "this is a private key; give the public one (FILE.pub)");
    while (*text) {
        size_t n = strcspn(text, "\n");
        struct sshkey key;

        number++;
        if (parse_line(text, n, &key))
            count++;
        else if (!is_blank(text, n))
            return error_set(err, EINVAL, "line %zu is no public key of OpenSSH", number);
        text += n + (text[n] == '\n');
    }
    return count > 0 ? 0 : error_set(err, EINVAL, "it holds no public key");
}

bool sshkey_is_in(const char *text, const struct sshkey *key)
{
    struct sshkey other;

    while (sshkey_next(&text, &other))
        if (other.blob_length == key->blob_length &&
            memcmp(other.blob, key->blob, key->blob_length) == 0)
            return true;
    return false;
}
