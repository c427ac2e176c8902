/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan-problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"

#define MESSAGE_BYTES 2000
#define WORD_MAX 64 /* longer words are nobody's slip of a known name */

void problems_init(struct problems *problems)
{
    *problems = (struct problems){.list = json_array()};
}

void problems_done(struct problems *problems)
{
    json_decref(problems->list);
    *problems = (struct problems){0};
}

/* What a person wrote may come back cut in the middle of a character. */
static json_t *text_value(const char *text)
{
    size_t length = strlen(text);
    json_t *value = json_stringn(text, length);

    while (!value && length > 0)
        value = json_stringn(text, --length);
    return value ? value : json_string("");
}

void problem_add(struct problems *problems, struct place at, const char *field, const char *fmt,
                 ...)
{
    char text[MESSAGE_BYTES];
    json_t *problem;
    va_list ap;

    if (json_array_size(problems->list) >= PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problem = json_pack("{s:i, s:i, s:o}", "line", (int)at.line, "column", (int)at.column,
                        "message", text_value(text));
    if (field)
        json_object_set_new(problem, "field", text_value(field));
    json_array_append_new(problems->list, problem);
}

size_t problems_count(const struct problems *problems)
{
    return json_array_size(problems->list) + problems->dropped;
}

static bool stands_before(const json_t *a, const json_t *b)
{
    int64_t line_a = field_integer(a, "line", 0), line_b = field_integer(b, "line", 0);

    if (line_a != line_b)
        return line_a < line_b;
    return field_integer(a, "column", 0) < field_integer(b, "column", 0);
}

/* By insertion: the list is short and nearly in order, and what has the same place stays so. */
void problems_sort(struct problems *problems)
{
    for (size_t i = 1; i < json_array_size(problems->list); i++) {
        json_t *problem = json_incref(json_array_get(problems->list, i));
        size_t to = i;

        while (to > 0 && stands_before(problem, json_array_get(problems->list, to - 1)))
            to--;
        json_array_remove(problems->list, i);
        json_array_insert_new(problems->list, to, problem);
    }
}

char *problems_text(const struct problems *problems, const char *file)
{
    char *text = NULL;
    size_t size, i;
    json_t *problem;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    json_array_foreach(problems->list, i, problem) {
        const char *field = field_string(problem, "field", NULL);
        long long line = field_integer(problem, "line", 0);

        fprintf(out, "%s%s:", i ? "\n" : "", file);
        if (line > 0)
            fprintf(out, "%lld:%lld:", line, (long long)field_integer(problem, "column", 0));
        fprintf(out, " %s%s%s", field ? field : "", field ? ": " : "",
                field_string(problem, "message", ""));
    }
    if (problems->dropped)
        fprintf(out, "\n%s: and %zu more", file, problems->dropped);
    fclose(out);
    return text;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned two = a < b ? a : b;

    return two < c ? two : c;
}

/* How many letters have to be put in, left out or exchanged (the Levenshtein distance, row by
 * row). */
static unsigned letters_apart(const char *a, const char *b)
{
    size_t width = strlen(b);
    unsigned row[WORD_MAX + 1];

    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= width; j++) {
            unsigned above = row[j];

            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}

const char *problem_nearest(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    unsigned best = length < 5 ? 2 : 3; /* this many letters are too many */
    const char *found = NULL;

    if (length == 0 || length > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned apart = strlen(names[i]) <= WORD_MAX ? letters_apart(word, names[i]) : best;

        if (apart < best) {
            best = apart;
            found = names[i];
        }
    }
    return found;
}
