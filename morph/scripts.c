/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/scripts.h"

#include "base/str.h"

int scripts_check(const struct facts *facts, struct error **err)
{
    const struct request *q = facts->request;

    if (facts_is_linux(facts) || q->script_pre.count + q->script_post.count == 0)
        return 0;
    return error_set(err, ENOTSUP,
                     "--script-pre and --script-post are for Linux guests, and this one runs %s",
                     facts->os.pretty ? facts->os.pretty : "another system");
}

int scripts_run(struct guest *guest, const struct hostfiles *scripts, const char *when,
                struct report *report, struct error **err)
{
    int r = guest_make_writable(guest, err);

    for (size_t i = 0; r == 0 && i < scripts->count; i++) {
        const struct hostfile *script = &scripts->items[i];
        _cleanup_free_ char *output = NULL;

        r = guest_script(guest, script->name, script->data, script->length, &output, err);
        if (r == 0)
            report_script(report, when, script->name, output);
    }
    return r;
}
