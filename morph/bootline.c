/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/bootline.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"

static const char blanks[] = " \t";
static const char word_ends[] = " \t\r\n\"'";

/* A line while it is looked at. */
struct scan {
    const char *at, *end;
};

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && strchr(blanks, *s->at))
        s->at++;
}

static void skip_word(struct scan *s)
{
    while (s->at < s->end && !strchr(blanks, *s->at))
        s->at++;
}

static bool skip_text(struct scan *s, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(s->end - s->at) < n || strncmp(s->at, text, n) != 0)
        return false;
    s->at += n;
    return true;
}

/* One of these words, with a blank behind it. */
static bool skip_command(struct scan *s, const char *const *names, bool any_case)
{
    struct scan word = *s;
    size_t n;

    skip_word(&word);
    n = (size_t)(word.at - s->at);
    for (; *names && word.at < word.end; names++) {
        if (strlen(*names) == n &&
            (any_case ? strncasecmp(*names, s->at, n) : strncmp(*names, s->at, n)) == 0) {
            *s = word;
            skip_blanks(s);
            return true;
        }
    }
    return false;
}

/* FILE of "kernel FILE words", which must be a kernel where `strict`. */
static bool skip_kernel(struct scan *s, bool strict)
{
    static const char *const kernels[] = {"vmlinu", "Image", "bzImage", "kernel"};
    struct scan word = *s;
    const char *base;

    while (skip_text(&word, "--")) {
        skip_word(&word);
        skip_blanks(&word);
    }
    base = word.at;
    skip_word(&word);
    for (const char *p = base; p < word.at; p++)
        if (*p == '/')
            base = p + 1;
    *s = word;
    skip_blanks(s);
    for (size_t i = 0; strict && i < ARRAY_SIZE(kernels); i++)
        if ((size_t)(word.at - base) >= strlen(kernels[i]) &&
            strncmp(base, kernels[i], strlen(kernels[i])) == 0)
            return true;
    return !strict;
}

/* Behind the '=' of an assignment: the inside of quotes, or all of the rest. */
static bool take_value(struct scan *s)
{
    char quote;

    if (s->at == s->end || !strchr("\"'", *s->at))
        return true;
    quote = *s->at++;
    for (const char *p = s->at; p < s->end; p++) {
        if (*p == '\\' && quote == '"') {
            p++;
        } else if (*p == quote) {
            s->end = p;
            return true;
        }
    }
    return false; /* goes on on the next line: not understood, so left alone */
}

static bool find_grub(struct scan *s)
{
    static const char *const kernels[] = {"linux", "linux16", "linuxefi", NULL};
    static const char *const modules[] = {"module", "module2", NULL};

    if (skip_command(s, kernels, false))
        return skip_kernel(s, false);
    if (skip_command(s, modules, false))
        return skip_kernel(s, true);
    return (skip_text(s, "set kernelopts=") || skip_text(s, "set default_kernelopts=")) &&
           take_value(s);
}

static bool find_legacy(struct scan *s)
{
    static const char *const kernels[] = {"kernel", NULL}, *const modules[] = {"module", NULL};

    if (skip_command(s, kernels, false))
        return skip_kernel(s, false);
    if (skip_command(s, modules, false))
        return skip_kernel(s, true);
    if (!skip_text(s, "#"))
        return false;
    skip_blanks(s);
    return skip_text(s, "kopt=") || skip_text(s, "xenkopt=");
}

/* Variables that hold kernel words. */
static bool find_shell(struct scan *s)
{
    static const char *const names[] = {"default_kernel_opts", "DEFAULT_APPEND", "FAILSAFE_APPEND",
                                        "XEN_KERNEL_APPEND", "kernel_cmdline"};
    struct scan name = *s;
    bool known;

    if (skip_text(&name, "root=")) /* update-extlinux.conf: the assignment is itself a word */
        return true;
    known = skip_text(&name, "GRUB_CMDLINE");
    for (size_t i = 0; !known && i < ARRAY_SIZE(names); i++)
        known = skip_text(&name, names[i]);
    while (known && name.at < name.end && (isalnum((unsigned char)*name.at) || *name.at == '_'))
        name.at++;
    skip_text(&name, "+");
    if (!known || !skip_text(&name, "="))
        return false;
    *s = name;
    return take_value(s);
}

static bool find(enum bootline_form form, struct scan *s)
{
    static const char *const options[] = {"options", NULL}, *const append[] = {"append", NULL};

    skip_blanks(s);
    switch (form) {
    case BOOTLINE_GRUB:
        return find_grub(s);
    case BOOTLINE_LEGACY:
        return find_legacy(s);
    case BOOTLINE_ENTRY:
        return skip_command(s, options, false);
    case BOOTLINE_EXTLINUX:
        return skip_command(s, append, true);
    case BOOTLINE_ENV:
        return skip_text(s, "kernelopts=");
    case BOOTLINE_SHELL:
        return find_shell(s);
    case BOOTLINE_WORDS:
        return s->at < s->end && *s->at != '#' && *s->at != '\r';
    }
    return false;
}

bool bootline_find(enum bootline_form form, const char *line, size_t length, size_t *ret_start,
                   size_t *ret_end)
{
    struct scan s = {.at = line, .end = line + length};

    if (!find(form, &s))
        return false;
    while (s.end > s.at && strchr(" \t\r", s.end[-1]))
        s.end--;
    *ret_start = (size_t)(s.at - line);
    *ret_end = (size_t)(s.end - line);
    return true;
}

/* Words whose value is a device; `ends` may end the device as well. */
static const struct {
    const char *key, *before, *ends;
} keys[] = {
    {"root", " \t\"'", ""},        {"resume", " \t\"'", ""},    {"real_root", " \t\"'", ""},
    {"real_resume", " \t\"'", ""}, {"rootdev", " \t\"'", ""},   {"boot", " \t\"'", ""},
    {"mount.usr", " \t\"'", ""},   {"cryptroot", " \t\"'", ""}, {"cryptdevice", " \t\"'", ":"},
    {"cryptkey", " \t\"'", ":"},   {"source", ",=", ","}, /* inside Debian's cryptopts= */
};

/* Index of the key of a device word at words[at], or -1. */
static int key_at(const char *words, size_t at, size_t end)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        size_t n = strlen(keys[i].key);

        if (end - at > n + 6 && strncmp(words + at, keys[i].key, n) == 0 &&
            strncmp(words + at + n, "=/dev/", 6) == 0 &&
            (at == 0 ? *keys[i].before == ' ' : strchr(keys[i].before, words[at - 1]) != NULL))
            return (int)i;
    }
    return -1;
}

static size_t rewrite_words(const char *words, size_t length, struct buffer *out,
                            char *(*replace)(void *, const char *, const char *), void *context)
{
    size_t count = 0, kept = 0;

    for (size_t at = 0; at < length; at++) {
        int key = key_at(words, at, length);
        size_t value = at + (key < 0 ? 0 : strlen(keys[key].key) + 1), end = value;

        if (key < 0)
            continue;
        while (end < length && !strchr(word_ends, words[end]) &&
               !strchr(keys[key].ends, words[end]))
            end++;
        _cleanup_free_ char *device = str_format("%.*s", (int)(end - value), words + value);
        _cleanup_free_ char *changed = replace(context, keys[key].key, device);

        if (changed) {
            buffer_add(out, words + kept, value - kept);
            buffer_add_text(out, changed);
            kept = end;
            count++;
        }
        at = end - 1;
    }
    buffer_add(out, words + kept, length - kept);
    return count;
}

size_t bootline_rewrite(enum bootline_form form, const char *text, struct buffer *out,
                        char *(*replace)(void *context, const char *key, const char *device),
                        void *context)
{
    size_t count = 0, start, end;

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (bootline_find(form, text, length, &start, &end)) {
            buffer_add(out, text, start);
            count += rewrite_words(text + start, end - start, out, replace, context);
            buffer_add(out, text + end, length - end);
        } else {
            buffer_add(out, text, length);
        }
        text += length;
        if (*text)
            buffer_add(out, text++, 1);
    }
    return count;
}

/* Length of the word at words[at], when one starts there; 0 otherwise. */
static size_t word_at(const char *words, size_t at, size_t length)
{
    size_t n = at;

    if (at > 0 && !strchr(word_ends, words[at - 1]))
        return 0;
    while (n < length && !strchr(word_ends, words[n]))
        n++;
    return n - at;
}

static bool words_have(const char *words, size_t length, const char *word, bool prefix)
{
    size_t wanted = strlen(word), n;

    for (size_t at = 0; at < length; at += n + 1) {
        n = word_at(words, at, length);
        if (n >= wanted && strncmp(words + at, word, wanted) == 0 &&
            (prefix || n == wanted || words[at + wanted] == ','))
            return true;
    }
    return false;
}

bool bootline_has_word(enum bootline_form form, const char *text, const char *word)
{
    size_t start, end;

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (bootline_find(form, text, length, &start, &end) &&
            words_have(text + start, end - start, word, false))
            return true;
        text += length + (text[length] == '\n');
    }
    return false;
}

/* tty, tty0, tty63 */
static bool is_screen(const char *name, size_t length)
{
    if (length < 3 || strncmp(name, "tty", 3) != 0)
        return false;
    for (size_t i = 3; i < length; i++)
        if (!isdigit((unsigned char)name[i]))
            return false;
    return true;
}

static bool is_lost(const char *name, size_t length)
{
    static const char *const lines[] = {"hvc", "xvc", "ttyS", "ttyAMA", "ttyUSB", "hvsi"};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (length > strlen(lines[i]) && strncmp(name, lines[i], strlen(lines[i])) == 0)
            return true;
    return false;
}

void bootline_consoles(const char *words, size_t length, struct bootline_consoles *ret)
{
    static const char key[] = "console=";
    const size_t k = sizeof(key) - 1;
    size_t n;

    *ret = (struct bootline_consoles){0};
    for (size_t at = 0; at < length; at += n + 1) {
        const char *name = words + at + k;
        size_t size = 0;

        n = word_at(words, at, length);
        if (n < k || strncmp(words + at, key, k) != 0)
            continue;
        while (size < n - k && name[size] != ',')
            size++;
        ret->any = true;
        ret->lost = false;
        if ((size == 5 && strncmp(name, "ttyS0", 5) == 0) ||
            (size >= 4 && strncmp(name, "uart", 4) == 0))
            ret->serial = true;
        else if (is_screen(name, size))
            ret->screen = true;
        else
            ret->lost = is_lost(name, size);
    }
}

#define SERIAL_WORD "console=ttyS0,115200n8"

/* The words with the serial console added. */
static void add_console(const char *words, size_t length, struct buffer *out)
{
    const char *gap = length > 0 ? " " : "";
    struct bootline_consoles c;
    size_t at = 0, n;

    bootline_consoles(words, length, &c);
    if (c.lost || !c.any) {
        buffer_add(out, words, length);
        if (c.lost)
            buffer_printf(out, "%s%s" SERIAL_WORD, gap, c.screen ? "" : "console=tty0 ");
        else
            buffer_printf(out, "%s" SERIAL_WORD " console=tty0", gap);
        return;
    }
    for (; at < length; at += n + 1) {
        n = word_at(words, at, length);
        if (n >= 8 && strncmp(words + at, "console=", 8) == 0)
            break;
    }
    buffer_add(out, words, at);
    buffer_add_text(out, SERIAL_WORD " ");
    buffer_add(out, words + at, length - at);
}

/* Does this command line start a system, so that it wants a console? */
static bool wants_console(enum bootline_form form, const char *words, size_t length)
{
    struct bootline_consoles c;

    bootline_consoles(words, length, &c);
    if (c.serial)
        return false;
    if (form == BOOTLINE_ENTRY)
        return !words_have(words, length, "$kernelopts", false);
    return form == BOOTLINE_WORDS || words_have(words, length, "root=", true);
}

/* Does the assignment on this line set exactly `name`? */
static bool sets(const char *line, size_t length, const char *name)
{
    struct scan s = {.at = line, .end = line + length};

    skip_blanks(&s);
    return skip_text(&s, name) && skip_text(&s, "=");
}

/* The line of a shell file that gets the console: of the first variable that has consoles already,
 * else of the first one that is set at all.  The last assignment counts.  NULL: none, or the
 * console is there. */
static const char *shell_line(const char *text)
{
    static const char *const names[] = {"GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX",
                                        "default_kernel_opts", "DEFAULT_APPEND"};
    const char *line_of[ARRAY_SIZE(names)] = {NULL}, *with = NULL;
    size_t start, end;

    while (*text) {
        size_t length = strcspn(text, "\n");

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            struct bootline_consoles c;

            if (!sets(text, length, names[i]) ||
                !bootline_find(BOOTLINE_SHELL, text, length, &start, &end))
                continue;
            bootline_consoles(text + start, end - start, &c);
            if (c.serial)
                return NULL;
            line_of[i] = text;
            with = c.any ? text : with;
        }
        text += length + (text[length] == '\n');
    }
    if (with)
        return with;
    for (size_t i = 1; i < ARRAY_SIZE(names); i++)
        if (line_of[i])
            return line_of[i];
    return line_of[0];
}

/* Does this command line get the console, `count` others having got it? */
static bool is_chosen(enum bootline_form form, const char *line, const char *chosen,
                      const char *words, size_t length, size_t count)
{
    switch (form) {
    case BOOTLINE_SHELL:
        return line == chosen;
    case BOOTLINE_ENTRY: /* several lines are one command line there */
    case BOOTLINE_WORDS:
        return count == 0 && wants_console(form, words, length);
    default:
        return wants_console(form, words, length);
    }
}

size_t bootline_add_console(enum bootline_form form, const char *text, struct buffer *out)
{
    const char *chosen = form == BOOTLINE_SHELL ? shell_line(text) : NULL;
    bool one = form == BOOTLINE_ENTRY || form == BOOTLINE_WORDS;
    size_t count = one && bootline_has_word(form, text, "console=ttyS0"), before = count;
    size_t start, end;

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (bootline_find(form, text, length, &start, &end) &&
            is_chosen(form, text, chosen, text + start, end - start, count)) {
            buffer_add(out, text, start);
            add_console(text + start, end - start, out);
            buffer_add(out, text + end, length - end);
            count++;
        } else {
            buffer_add(out, text, length);
        }
        text += length;
        if (*text)
            buffer_add(out, text++, 1);
    }
    return count - before;
}
