/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket, one a line, on a small engine over the simulated disk. */
#include <string.h>

#include "engine/ctlserver.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model/fixture.h"

static void ignore_event(json_t *event, void *context)
{
    FUZZ_ASSERT(json_is_object(event));
}

static void request(struct engine *e, const char *line, size_t length)
{
    json_t *j = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *verb = json_string_value(json_object_get(j, "verb"));
    json_t *args = json_object_get(j, "args"), *result = NULL;
    struct error *err = NULL;

    /* The same checks as the server's before it calls. */
    if (verb && (!args || json_is_object(args))) {
        int r = verb_run(e, verb, args, ignore_event, NULL, &result, &err);

        FUZZ_ASSERT(r == 0 ? result != NULL && !err : err != NULL && !result);
        FUZZ_ASSERT(e->operation == NULL);
    }
    json_decref(result);
    error_free(err);
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = fixture_new();
    const char *p = (const char *)data, *end = p + size;

    memsource_point(f->source);
    memsource_write(f->source, 9);
    memsource_point(f->source);
    for (unsigned lines = 0; p < end && lines < 12; lines++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));

        stop = stop ? stop : end;
        request(f->engine, p, (size_t)(stop - p));
        p = stop + 1;
    }
    fixture_free(f);
    return 0;
}
