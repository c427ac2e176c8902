/* SPDX-License-Identifier: Apache-2.0 */
/* Cutovers of groups that are going on. */
#include "orchestrator/journal-inside.h"

int journal_put_group(struct journal *j, const char *name, const char *phase,
                      const json_t *members, const char *reason, struct error **err)
{
    return journal_run(j, NULL, err,
                       "INSERT INTO groups(name, phase, members_json, reason) VALUES(?,?,?,?)"
                       " ON CONFLICT(name) DO UPDATE SET phase=excluded.phase,"
                       " members_json=excluded.members_json, reason=excluded.reason",
                       "ssjs", name, phase, members, reason);
}

int journal_remove_group(struct journal *j, const char *name, struct error **err)
{
    return journal_run(j, NULL, err, "DELETE FROM groups WHERE name=?", "s", name);
}

int journal_list_groups(struct journal *j, json_t **ret_rows, struct error **err)
{
    return journal_run(j, ret_rows, err, "SELECT * FROM groups ORDER BY name", "");
}
