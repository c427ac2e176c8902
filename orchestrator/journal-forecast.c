/* SPDX-License-Identifier: Apache-2.0 */
/* What a forecast looks at: the latest of a migration that may have been synced for weeks. */
#include "orchestrator/journal-inside.h"

#include "orchestrator/fields.h"

#define RECENT "24"

int journal_list_recent(struct journal *j, const char *migration, json_t **ret_passes,
                        json_t **ret_transitions, json_t **ret_rehearsals, struct error **err)
{
    _cleanup_json_ json_t *passes = NULL, *transitions = NULL;
    int r = journal_run(j, &passes, err,
                        "SELECT kind, since, snapshot, generation, result_json, why_full,"
                        " started_ns, started_mono_ns, boot_id, freeze_s, limited, seconds"
                        " FROM passes WHERE migration=?1 AND generation IS NOT NULL"
                        " AND (kind='initial' OR id IN (SELECT id FROM passes"
                        " WHERE migration=?1 ORDER BY id DESC LIMIT " RECENT ")) ORDER BY id",
                        "s", migration);

    /* Syncs have their own rows; of them there may be thousands. */
    if (r == 0)
        r = journal_run(j, &transitions, err,
                        "SELECT * FROM (SELECT id, from_state, to_state, wall_ns, mono_ns, boot_id"
                        " FROM transitions WHERE migration=? AND to_state<>'syncing'"
                        " AND from_state<>'syncing' ORDER BY id DESC LIMIT 200) ORDER BY id",
                        "s", migration);
    if (r == 0)
        r = journal_run(j, ret_rehearsals, err,
                        "SELECT result_json FROM rehearsals WHERE migration=? ORDER BY id DESC"
                        " LIMIT " RECENT, "s", migration);
    if (r < 0)
        return r;
    *ret_passes = steal_ptr(passes);
    *ret_transitions = steal_ptr(transitions);
    return 0;
}

int journal_set_pass_limited(struct journal *j, int64_t id, struct error **err)
{
    return journal_run(j, NULL, err, "UPDATE passes SET limited=1 WHERE id=?", "i", id);
}
