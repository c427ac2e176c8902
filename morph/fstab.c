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

void fstab_copy(struct buffer *out, const struct fstab_line *line, size_t field, const char *value,
                const char *cursor)
{
    size_t before = line->length, after = line->length;

    if (value && field < line->fields) {
        before = line->offset[field];
        after = before + line->size[field];
    }
    buffer_add(out, line->text, before);
    if (value && field < line->fields)
        buffer_add_text(out, value);
    buffer_add(out, line->text + after, line->length - after);
    if (cursor > line->text + line->length)
        buffer_add_text(out, "\n");
}
