/* SPDX-License-Identifier: Apache-2.0 */
/* The texts modules.dep, modules.alias and modules.softdep of a guest, in that order, with a NUL
 * byte between them: what is written of them is read again as it was. */
#include <string.h>

#include "base/str.h"
#include "morph/modules.h"
#include "tests/fuzz/fuzz.h"

static size_t marked(const struct module_table *t)
{
    size_t count = 0;

    for (size_t n = 0; n < t->count; n++)
        count += t->items[n].marked;
    return count;
}

static void check(const char *dep, const char *alias, const char *softdep)
{
    _cleanup_buffer_ struct buffer out = {0}, index = {0}, aliases = {0}, alias_index = {0};
    struct module_table t, again;

    module_table_parse(dep, &t);
    for (size_t n = 0; n < t.count && n < 3; n++)
        FUZZ_ASSERT(module_mark(&t, t.items[n].name) == 0);
    module_mark_soft(&t, softdep);
    for (size_t n = 0; n < t.count; n++)
        FUZZ_ASSERT(module_is_in_dep(dep, t.items[n].name));
    module_write_dep(&t, &out, &index);
    module_write_alias(&t, alias, &aliases, &alias_index);
    FUZZ_ASSERT(index.length >= 12 && alias_index.length >= 12);
    module_table_parse(out.data ? out.data : "", &again);
    FUZZ_ASSERT(again.count == marked(&t));
    for (size_t n = 0; n < again.count; n++)
        FUZZ_ASSERT(module_find(&t, again.items[n].name));
    out.length = 0;
    module_add_unknown(&again, dep, alias, &out, &aliases);
    module_softdep_lines(softdep, "virtio_blk", &out);
    module_table_done(&t);
    module_table_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = mem_new(size + 3, 1); /* each of the three ends */
    const char *alias, *softdep;

    if (size > 0)
        memcpy(text, data, size);
    alias = text + strlen(text) + 1;
    softdep = alias < text + size ? alias + strlen(alias) + 1 : alias;
    check(text, alias, softdep);
    return 0;
}
