/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/inifile.h"

#include <string.h>

bool inifile_next(const char **text, struct iniline *l)
{
    struct word w;
    const char *equals;

    if (!line_next(text, &l->line))
        return false;
    w = word_trim(l->line);
    l->key = l->value = (struct word){l->line.at, 0};
    l->is_header = w.length >= 2 && *w.at == '[' && w.at[w.length - 1] == ']';
    if (l->is_header)
        l->section = (struct word){w.at + 1, w.length - 2};
    if (l->is_header || w.length == 0 || *w.at == '#' || *w.at == ';')
        return true;
    equals = memchr(w.at, '=', w.length);
    if (equals) {
        l->key = word_trim((struct word){w.at, (size_t)(equals - w.at)});
        l->value = word_trim((struct word){equals + 1, w.length - (size_t)(equals + 1 - w.at)});
    }
    return true;
}

bool iniline_is(const struct iniline *l, const char *name)
{
    size_t dot = strcspn(name, ".");

    return l->key.length > 0 && l->section.length == dot &&
           strncmp(l->section.at, name, dot) == 0 && word_is(l->key, name + dot + 1);
}

struct word inifile_get(const char *text, const char *name)
{
    struct iniline l = {.section = {text, 0}};

    while (inifile_next(&text, &l))
        if (iniline_is(&l, name) && l.value.length > 0)
            return l.value;
    return (struct word){text, 0};
}
