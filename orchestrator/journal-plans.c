/* SPDX-License-Identifier: Apache-2.0 */
/* Plans in the journal: their text as it was last applied. */
#include "orchestrator/journal-inside.h"

#include "orchestrator/fields.h"

int journal_put_plan(struct journal *j, const char *name, const char *source, const char *file,
                     const char *text, struct error **err)
{
    struct stamp now;

    stamp_now(&now);
    return journal_run(j, NULL, err,
                       "INSERT INTO plans(name, source, file, text, applied_ns) VALUES(?,?,?,?,?)"
                       " ON CONFLICT(name) DO UPDATE SET source=excluded.source,"
                       " file=excluded.file, text=excluded.text, applied_ns=excluded.applied_ns",
                       "ssssi", name, source, file, text, now.wall_ns);
}

int journal_get_plan(struct journal *j, const char *name, json_t **ret_row, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = journal_run(j, &rows, err, "SELECT * FROM plans WHERE name=?", "s", name);

    if (r < 0)
        return r;
    if (json_array_size(rows) == 0)
        return error_set(err, ENOENT, "there is no plan named '%s'; 'slipway plan list' shows them",
                         name);
    *ret_row = json_incref(json_array_get(rows, 0));
    return 0;
}

int journal_list_plans(struct journal *j, json_t **ret_rows, struct error **err)
{
    return journal_run(j, ret_rows, err,
                       "SELECT name, source, file, applied_ns FROM plans ORDER BY name", "");
}

int journal_remove_plan(struct journal *j, const char *name, struct error **err)
{
    return journal_run(j, NULL, err, "DELETE FROM plans WHERE name=?", "s", name);
}
