/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/modprobe.h"

#include <stdbool.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

static bool next_word(const char **at, const char *end, const char **ret_word, size_t *ret_length)
{
    const char *p = *at;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    *ret_word = p;
    while (p < end && *p != ' ' && *p != '\t')
        p++;
    *ret_length = (size_t)(p - *ret_word);
    *at = p;
    return *ret_length > 0;
}

static bool is_word(const char *word, size_t length, const char *wanted)
{
    return strlen(wanted) == length && strncmp(word, wanted, length) == 0;
}

/* A driver of the virtio platform that the guest needs or profits from; - and _ are the same. */
static bool is_virtio(const char *word, size_t length)
{
    static const char *const names[] = {
        "virtio",         "virtio_ring",    "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net",
        "virtio_balloon", "virtio_console", "virtio_rng", "virtio_gpu", "virtio_input"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t k = 0;

        while (k < length && (word[k] == names[i][k] || (word[k] == '-' && names[i][k] == '_')))
            k++;
        if (k == length && names[i][k] == '\0')
            return true;
    }
    return false;
}

/* "install NAME /bin/true" and the like load nothing; an install line that goes on to modprobe
 * does. */
static bool loads_nothing(const char *word, size_t length)
{
    static const char *const nothing[] = {
        "/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false", "true",
        "false",     ":",          "/bin/:"};

    for (size_t i = 0; i < ARRAY_SIZE(nothing); i++)
        if (is_word(word, length, nothing[i]))
            return true;
    return false;
}

static bool keeps_away(const char *line, const char *end)
{
    const char *at = line, *verb, *name, *third;
    size_t verb_length, name_length, third_length;

    if (!next_word(&at, end, &verb, &verb_length) || !next_word(&at, end, &name, &name_length) ||
        !is_virtio(name, name_length))
        return false;
    if (is_word(verb, verb_length, "blacklist"))
        return true;
    if (!next_word(&at, end, &third, &third_length))
        return false;
    if (is_word(verb, verb_length, "install"))
        return loads_nothing(third, third_length);
    return is_word(verb, verb_length, "alias") && is_word(third, third_length, "off");
}

size_t modprobe_allow_virtio(const char *text, struct buffer *out, char **ret_first)
{
    size_t count = 0;

    *ret_first = NULL;
    while (*text) {
        size_t length = strcspn(text, "\n");

        if (keeps_away(text, text + length)) {
            if (count++ == 0)
                *ret_first = str_format("%.*s", (int)MIN(length, (size_t)200), text);
            buffer_add_text(out, "# slipway-morph: ");
        }
        length += text[length] == '\n';
        buffer_add(out, text, length);
        text += length;
    }
    return count;
}
