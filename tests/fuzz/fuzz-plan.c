/* SPDX-License-Identifier: Apache-2.0 */
/* A plan, and what becomes of it with some VMs on the source. */
#include <string.h>

#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/plan.h"
#include "tests/fuzz/fuzz.h"

static const char vms[] =
    "[{\"name\":\"web1\",\"uuid\":\"u1\",\"state\":\"running\",\"memory_bytes\":1073741824,"
    "\"vcpus\":2,\"disks\":[{\"name\":\"vda\",\"size_bytes\":1000,\"path\":\"/a/b/c.img\"}],"
    "\"nics\":[{\"network\":\"lan\"}]},"
    "{\"name\":\"web2\",\"uuid\":\"u2\",\"state\":\"off\",\"memory_bytes\":1073741824,"
    "\"vcpus\":2,\"os_hint\":\"debian12\",\"disks\":[],\"nics\":[]},"
    "{\"name\":\"db 1\",\"state\":\"running\",\"vcpus\":4,\"disks\":[{\"name\":\"sda\"}]}]";

/* Each problem says something, at a place that the text has; libyaml ends a last line that has no
 * end before it complains about that. */
static void check_problems(const struct problems *problems, const char *text, size_t size)
{
    int64_t lines = 2;
    json_t *problem;
    size_t i;

    for (i = 0; i < size; i++)
        lines += text[i] == '\n' || text[i] == '\r' || (unsigned char)text[i] >= 0x80;
    json_array_foreach(problems->list, i, problem) {
        FUZZ_ASSERT(*field_string(problem, "message", ""));
        FUZZ_ASSERT(field_integer(problem, "line", 0) >= 1);
        FUZZ_ASSERT(field_integer(problem, "line", 0) <= lines);
        FUZZ_ASSERT(field_integer(problem, "column", 0) >= 1);
    }
}

/* Each migration has a name of its own, and its networks are all mapped. */
static void check_migrations(const json_t *migrations)
{
    json_t *names = json_object(), *migration, *to;
    const char *network;
    size_t i;

    json_array_foreach(migrations, i, migration) {
        json_t *body = json_object_get(migration, "body");
        const char *name = field_string(body, "name", "");

        FUZZ_ASSERT(name_check("migration", name, NULL) == 0);
        FUZZ_ASSERT(!json_object_get(names, name));
        json_object_set_new(names, name, json_true());
        json_object_foreach(json_object_get(body, "networks"), network, to)
            FUZZ_ASSERT(*json_string_value(to));
    }
    json_decref(names);
}

static void expand(const struct plan *plan, struct problems *problems)
{
    _cleanup_json_ json_t *inventory = json_loads(vms, 0, NULL), *migrations = NULL;
    _cleanup_json_ json_t *wanted = plan_wanted(plan, inventory);
    struct problems warnings;
    int r;

    problems_init(&warnings);
    r = plan_expand(plan, inventory, NULL, &migrations, problems, &warnings);
    FUZZ_ASSERT((r == 0) == (problems_count(problems) == 0));
    FUZZ_ASSERT((r == 0) == (migrations != NULL));
    FUZZ_ASSERT(json_array_size(migrations) <= json_array_size(wanted));
    check_migrations(migrations);
    problems_done(&warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan *plan = NULL;
    struct problems problems;
    int r;

    problems_init(&problems);
    r = plan_parse((const char *)data, size, &plan, &problems);
    FUZZ_ASSERT((r == 0) == (problems_count(&problems) == 0));
    if (r == 0)
        expand(plan, &problems);
    check_problems(&problems, (const char *)data, size);
    free(problems_text(&problems, "f"));
    plan_free(plan);
    problems_done(&problems);
    return 0;
}
