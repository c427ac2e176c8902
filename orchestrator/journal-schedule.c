/* SPDX-License-Identifier: Apache-2.0 */
/* What the schedule must know of a migration's past. */
#include "orchestrator/journal-inside.h"

#include "orchestrator/fields.h"

#define SYNC_STATES "('created','preparing','syncing')"

static int first_row(struct journal *j, const char *migration, const char *what, const char *sql,
                     json_t *ret, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = journal_run(j, &rows, err, sql, "s", migration);

    if (r < 0)
        return r;
    if (json_array_size(rows) > 0)
        json_object_set(ret, what, json_array_get(rows, 0));
    return 0;
}

int journal_get_past(struct journal *j, const char *migration, json_t **ret_past,
                     struct error **err)
{
    static const struct {
        const char *what, *sql;
    } questions[] = {
        {"pass", "SELECT started_ns AS wall_ns, started_mono_ns AS mono_ns, boot_id, seconds"
                 " FROM passes WHERE migration=? AND generation IS NOT NULL"
                 " ORDER BY id DESC LIMIT 1"},
        {"syncs", "SELECT count(*) AS n FROM passes WHERE migration=?1 AND generation IS NOT NULL"
                  " AND started_ns > coalesce((SELECT max(started_ns) FROM rehearsals"
                  " WHERE migration=?1), 0)"},
        {"failures", "SELECT count(*) AS n, max(id), wall_ns, mono_ns, boot_id FROM transitions"
                     " WHERE migration=?1 AND to_state='failed' AND from_state IN " SYNC_STATES
                     " AND id > coalesce((SELECT max(id) FROM transitions WHERE migration=?1"
                     " AND to_state='mirrored' AND from_state='syncing'), 0)"},
        {"cutover_failed", "SELECT wall_ns, mono_ns, boot_id FROM transitions"
                           " WHERE migration=?1 AND (to_state="
                           "'reverting' OR (to_state='failed' AND from_state NOT IN " SYNC_STATES
                           ")) AND id > coalesce((SELECT max(id) FROM transitions WHERE"
                           " migration=?1 AND to_state='stopping'), 0) ORDER BY id DESC LIMIT 1"},
        {"window", "SELECT wall_ns, mono_ns, boot_id FROM transitions WHERE migration=?"
                   " AND to_state='window' ORDER BY id DESC LIMIT 1"},
    };
    _cleanup_json_ json_t *past = json_object();
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
        r = first_row(j, migration, questions[i].what, questions[i].sql, past, err);
    if (r == 0)
        *ret_past = steal_ptr(past);
    return r;
}
