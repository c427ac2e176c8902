/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, and what engines were told because of them. */
#include "orchestrator/journal-inside.h"

#include "orchestrator/fields.h"

int journal_list_limits(struct journal *j, json_t **ret_rows, struct error **err)
{
    return journal_run(j, ret_rows, err,
                       "SELECT body_json FROM limits ORDER BY scope, name", "");
}

int journal_put_limit(struct journal *j, const char *scope, const char *name, const json_t *body,
                      struct error **err)
{
    return journal_run(j, NULL, err, "INSERT OR REPLACE INTO limits(scope, name, body_json)"
                       " VALUES(?,?,?)", "ssj", scope, name, body);
}

int journal_remove_limit(struct journal *j, const char *scope, const char *name,
                         struct error **err)
{
    return journal_run(j, NULL, err, "DELETE FROM limits WHERE scope=? AND name=?", "ss", scope,
                       name);
}

int journal_get_governed(struct journal *j, const char *migration, json_t **ret_before,
                         struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = journal_run(j, &rows, err, "SELECT before_json FROM governed WHERE migration=?", "s",
                        migration);

    if (r == 0)
        *ret_before = json_incref(json_object_get(json_array_get(rows, 0), "before"));
    return r;
}

int journal_set_governed(struct journal *j, const char *migration, const json_t *before,
                         struct error **err)
{
    if (!before)
        return journal_run(j, NULL, err, "DELETE FROM governed WHERE migration=?", "s", migration);
    return journal_run(j, NULL, err, "INSERT OR REPLACE INTO governed(migration, before_json)"
                       " VALUES(?,?)", "sj", migration, before);
}
