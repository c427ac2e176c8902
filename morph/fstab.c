/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/fstab.h"

#include <string.h>

#include "base/str.h"

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

int fstab_next(const char **cursor, struct fstab_line *ret_line)
{
    struct fstab_line line = {.text = *cursor};
    size_t at = 0;

    if (!**cursor)
        return 0;
    line.length = strcspn(line.text, "\n");
    *cursor = line.text + line.length + (line.text[line.length] == '\n');
    while (line.fields < FSTAB_FIELDS) {
        while (at < line.length && is_blank(line.text[at]))
            at++;
        if (at == line.length || (line.fields == 0 && line.text[at] == '#'))
            break;
        line.offset[line.fields] = at;
        while (at < line.length && !is_blank(line.text[at]))
            at++;
        line.size[line.fields] = at - line.offset[line.fields];
        line.fields++;
    }
    *ret_line = line;
    return 1;
}

char *fstab_field(const struct fstab_line *line, size_t field)
{
    if (field >= line->fields)
        return str_dup("");
    return str_format("%.*s", (int)line->size[field], line->text + line->offset[field]);
}

void fstab_copy_all(struct buffer *out, const struct fstab_line *line, char *const *values,
                    const char *cursor)
{
    size_t kept = 0;

    for (size_t i = 0; i < line->fields; i++) {
        if (!values[i])
            continue;
        buffer_add(out, line->text + kept, line->offset[i] - kept);
        buffer_add_text(out, values[i]);
        kept = line->offset[i] + line->size[i];
    }
    buffer_add(out, line->text + kept, line->length - kept);
    if (cursor > line->text + line->length)
        buffer_add_text(out, "\n");
}

void fstab_copy(struct buffer *out, const struct fstab_line *line, size_t field, const char *value,
                const char *cursor)
{
    char *values[FSTAB_FIELDS] = {NULL};

    if (field < FSTAB_FIELDS)
        values[field] = (char *)value;
    fstab_copy_all(out, line, values, cursor);
}
