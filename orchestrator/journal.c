/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal is one SQLite database in WAL mode with synchronous=FULL: a committed transaction
 * survives power loss.  user_version holds the schema's version; older ones are brought up step by
 * step (schema[]), newer ones are refused.
 */
#include "orchestrator/journal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/journal-inside.h"

#define EVENTS_KEPT "20000"

struct journal {
    pthread_mutex_t lock; /* guards db; no other lock is taken under it */
    sqlite3 *db;
    char *path;
};

/* schema[n] brings version n to n+1. */
static const char *const schema[] = {
    "CREATE TABLE sources(name TEXT PRIMARY KEY, uri TEXT NOT NULL, secret INTEGER NOT NULL);"
    "CREATE TABLE migrations(name TEXT PRIMARY KEY, source TEXT NOT NULL, vm TEXT NOT NULL,"
    " state TEXT NOT NULL, failed_state TEXT, params_json TEXT NOT NULL,"
    " description_json TEXT NOT NULL, facts_json TEXT NOT NULL, error_code INTEGER NOT NULL,"
    " error TEXT, created_ns INTEGER NOT NULL);"
    "CREATE TABLE transitions(id INTEGER PRIMARY KEY, migration TEXT NOT NULL"
    " REFERENCES migrations(name) ON DELETE CASCADE, from_state TEXT, to_state TEXT NOT NULL,"
    " wall_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL, boot_id TEXT NOT NULL);"
    "CREATE TABLE passes(id INTEGER PRIMARY KEY AUTOINCREMENT, migration TEXT NOT NULL"
    " REFERENCES migrations(name) ON DELETE CASCADE, kind TEXT NOT NULL, since TEXT,"
    " snapshot TEXT, private_json TEXT, generation INTEGER, result_json TEXT, why_full TEXT,"
    " started_ns INTEGER NOT NULL, seconds REAL, ended INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE leftovers(id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL,"
    " migration TEXT NOT NULL, pass INTEGER NOT NULL, thing_json TEXT NOT NULL);"
    "CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL,"
    " migration TEXT, body_json TEXT NOT NULL);"
    "CREATE INDEX transitions_of ON transitions(migration);"
    "CREATE INDEX passes_of ON passes(migration);"
    "CREATE INDEX events_of ON events(migration);",

    "CREATE TABLE rehearsals(id INTEGER PRIMARY KEY AUTOINCREMENT, migration TEXT NOT NULL"
    " REFERENCES migrations(name) ON DELETE CASCADE, state TEXT NOT NULL,"
    " params_json TEXT NOT NULL, result_json TEXT NOT NULL, started_ns INTEGER NOT NULL,"
    " ended INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX rehearsals_of ON rehearsals(migration);",

    "ALTER TABLE passes ADD COLUMN started_mono_ns INTEGER;"
    "ALTER TABLE passes ADD COLUMN boot_id TEXT;"
    "ALTER TABLE passes ADD COLUMN freeze_s REAL;",

    "CREATE TABLE limits(scope TEXT NOT NULL, name TEXT NOT NULL, body_json TEXT NOT NULL,"
    " PRIMARY KEY(scope, name));"
    "CREATE TABLE governed(migration TEXT PRIMARY KEY"
    " REFERENCES migrations(name) ON DELETE CASCADE, before_json TEXT NOT NULL);",

    "CREATE TABLE plans(name TEXT PRIMARY KEY, source TEXT NOT NULL, file TEXT NOT NULL,"
    " text TEXT NOT NULL, applied_ns INTEGER NOT NULL);",

    "CREATE TABLE groups(name TEXT PRIMARY KEY, phase TEXT NOT NULL, members_json TEXT NOT NULL,"
    " reason TEXT);",

    "ALTER TABLE passes ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;",
};

void stamp_now(struct stamp *stamp)
{
    struct timespec now;
    _cleanup_free_ char *id = NULL;

    clock_gettime(CLOCK_REALTIME, &now);
    stamp->wall_ns = (int64_t)now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec;
    stamp->mono_ns = (int64_t)clock_now_ns();
    stamp->boot_id[0] = '\0';
    if (fdio_read_file("/proc/sys/kernel/random/boot_id", 100, &id, NULL) == 0)
        snprintf(stamp->boot_id, sizeof(stamp->boot_id), "%.36s", id);
}

static int damaged(const struct journal *j, const char *how, struct error **err)
{
    return error_set(err, EBADMSG,
                     "the journal %s is damaged (%s): end slipwayd, then either put %s.backup in "
                     "its place, or move it away and start anew; targets and stores stay as they "
                     "are", j->path, how, j->path);
}

static int journal_fail(struct journal *j, int rc, struct error **err)
{
    const char *text = j->db ? sqlite3_errmsg(j->db) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return damaged(j, text, err);
    case SQLITE_FULL:
        return error_set(err, ENOSPC, "no space for the journal %s: free some and try again",
                         j->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, EBUSY, "the journal %s is in use by another program", j->path);
    default:
        /* Some of SQLite's files are extended where it only sees that a call failed. */
        if (j->db && sqlite3_system_errno(j->db) == ENOSPC)
            return error_set(err, ENOSPC, "no space for the journal %s: free some and try again",
                             j->path);
        return error_set(err, EIO, "the journal %s cannot be used: %s", j->path, text);
    }
}

static int exec_locked(struct journal *j, const char *sql, struct error **err)
{
    int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : journal_fail(j, rc, err);
}

static json_t *column_value(sqlite3_stmt *st, int c)
{
    const char *name = sqlite3_column_name(st, c);
    size_t length = strlen(name);
    const char *text;

    switch (sqlite3_column_type(st, c)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(st, c));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(st, c));
    case SQLITE_NULL:
        return json_null();
    default:
        text = (const char *)sqlite3_column_text(st, c);
        if (length > 5 && strcmp(name + length - 5, "_json") == 0)
            return json_loads(text, JSON_DECODE_ANY, NULL);
        return json_string(text);
    }
}

/* NULL when a column does not hold what it should. */
static json_t *row_value(sqlite3_stmt *st)
{
    json_t *row = json_object();

    for (int c = 0; c < sqlite3_column_count(st); c++) {
        _cleanup_free_ char *name = str_dup(sqlite3_column_name(st, c));
        json_t *value = column_value(st, c);
        size_t length = strlen(name);

        if (length > 5 && strcmp(name + length - 5, "_json") == 0)
            name[length - 5] = '\0';
        if (!value || json_object_set_new(row, name, value) < 0) {
            json_decref(row);
            return NULL;
        }
    }
    return row;
}

static void bind_json(sqlite3_stmt *st, int i, const json_t *value)
{
    char *text = value && !json_is_null(value)
                     ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (text)
        sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT);
    free(text);
}

/* types: s text, i int64_t, d double, j JSON; NULL text and JSON become NULL. */
static void bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
    for (int i = 1; *types; types++, i++) {
        const char *text;

        switch (*types) {
        case 's':
            text = va_arg(ap, const char *);
            if (text)
                sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT);
            break;
        case 'i':
            sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            break;
        case 'd':
            sqlite3_bind_double(st, i, va_arg(ap, double));
            break;
        case 'j':
            bind_json(st, i, va_arg(ap, const json_t *));
            break;
        }
    }
}

static int step_all(struct journal *j, sqlite3_stmt *st, json_t *rows, struct error **err)
{
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        json_t *row = rows ? row_value(st) : NULL;

        if (rows && (!row || json_array_append_new(rows, row) < 0))
            return journal_fail(j, SQLITE_CORRUPT, err);
    }
    if (rc != SQLITE_DONE && sqlite3_extended_errcode(j->db) == SQLITE_CONSTRAINT_PRIMARYKEY)
        return error_set(err, EEXIST, "this name is in use already");
    return rc == SQLITE_DONE ? 0 : journal_fail(j, rc, err);
}

static int run_list_locked(struct journal *j, json_t **ret_rows, struct error **err,
                           const char *sql, const char *types, va_list ap)
{
    json_t *rows = ret_rows ? json_array() : NULL;
    sqlite3_stmt *st = NULL;
    int r, rc = sqlite3_prepare_v2(j->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK) {
        bind_all(st, types, ap);
        r = step_all(j, st, rows, err);
    } else {
        r = journal_fail(j, rc, err);
    }
    sqlite3_finalize(st);
    if (r == 0 && ret_rows)
        *ret_rows = rows;
    else
        json_decref(rows);
    return r;
}

/* Runs one statement; rows may be NULL. */
static int run_locked(struct journal *j, json_t **ret_rows, struct error **err, const char *sql,
                      const char *types, ...)
{
    va_list ap;
    int r;

    va_start(ap, types);
    r = run_list_locked(j, ret_rows, err, sql, types, ap);
    va_end(ap);
    return r;
}

int journal_run(struct journal *j, json_t **ret_rows, struct error **err, const char *sql,
                const char *types, ...)
{
    va_list ap;
    int r;

    va_start(ap, types);
    pthread_mutex_lock(&j->lock);
    r = run_list_locked(j, ret_rows, err, sql, types, ap);
    pthread_mutex_unlock(&j->lock);
    va_end(ap);
    return r;
}

#define run journal_run /* as it is called in here */

static int version_locked(struct journal *j, int64_t *ret_version, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = run_locked(j, &rows, err, "PRAGMA user_version", "");

    if (r == 0)
        *ret_version = field_integer(json_array_get(rows, 0), "user_version", 0);
    return r;
}

static int upgrade_locked(struct journal *j, struct error **err)
{
    const int64_t newest = ARRAY_SIZE(schema);
    int64_t version = 0;
    int r = version_locked(j, &version, err);

    if (r < 0)
        return r;
    if (version > newest)
        return error_set(err, EPROTO,
                         "the journal %s was written by a newer slipwayd (version %" PRId64
                         ", this one knows %" PRId64 "): install that version again, or use "
                         "another --state folder", j->path, version, newest);
    for (; r == 0 && version < newest; version++) {
        _cleanup_free_ char *sql = str_format("BEGIN IMMEDIATE;%s PRAGMA user_version=%" PRId64
                                              ";COMMIT", schema[version], version + 1);

        r = exec_locked(j, sql, err);
    }
    return r;
}

static int check_locked(struct journal *j, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = run_locked(j, &rows, err, "PRAGMA quick_check(1)", "");
    const char *verdict = r == 0 ? field_string(json_array_get(rows, 0), "quick_check", "") : "";

    if (r == 0 && strcmp(verdict, "ok") != 0)
        return damaged(j, verdict, err);
    return r;
}

/* A sound copy beside it, so that a damaged journal is not the end. */
static int backup_locked(struct journal *j, struct error **err)
{
    _cleanup_free_ char *copy = str_format("%s.backup", j->path);
    _cleanup_free_ char *next = str_format("%s.backup.new", j->path);
    int r;

    unlink(next);
    r = run_locked(j, NULL, err, "VACUUM INTO ?", "s", next);
    if (r == 0 && rename(next, copy) < 0)
        r = error_set_errno(err, errno, "cannot put %s in place", copy);
    return r < 0 ? r : fdio_sync_parent(copy);
}

/* A journal that is not there is made, but then the copy of an older one is not its copy: it is kept
 * under another name.  An empty one was never ours when there is a copy. */
static int begin_anew(const struct journal *j, struct error **err)
{
    _cleanup_free_ char *copy = str_format("%s.backup", j->path), *kept = NULL;
    struct stat st;
    char when[40];
    time_t now = time(NULL);
    struct tm tm;

    if (access(copy, F_OK) < 0 || (stat(j->path, &st) == 0 && st.st_size > 0))
        return 0;
    if (access(j->path, F_OK) == 0)
        return damaged(j, "it is empty", err);
    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    kept = str_format("%s.%s", copy, when);
    if (rename(copy, kept) < 0)
        return error_set_errno(err, errno, "cannot keep %s as %s", copy, kept);
    return fdio_sync_parent(copy);
}

static int open_locked(struct journal *j, struct error **err)
{
    int rc = sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    int r;

    if (rc != SQLITE_OK)
        return journal_fail(j, rc, err);
    sqlite3_busy_timeout(j->db, 2000);
    r = exec_locked(j, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
                    err);
    if (r == 0)
        r = check_locked(j, err);
    if (r == 0)
        r = upgrade_locked(j, err);
    if (r == 0)
        r = exec_locked(j, "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events) - "
                        EVENTS_KEPT, err);
    return r < 0 ? r : backup_locked(j, err);
}

int journal_open(const char *dir, struct journal **ret_journal, struct error **err)
{
    struct journal *j = mem_new(1, sizeof(*j));
    mode_t mask = umask(0077);
    int r;

    pthread_mutex_init(&j->lock, NULL);
    j->path = str_format("%s/journal.db", dir);
    r = begin_anew(j, err);
    if (r == 0)
        r = open_locked(j, err);
    umask(mask);
    if (r < 0)
        journal_close(j);
    else
        *ret_journal = j;
    return r;
}

struct journal *journal_close(struct journal *j)
{
    if (!j)
        return NULL;
    sqlite3_close(j->db);
    pthread_mutex_destroy(&j->lock);
    free(j->path);
    free(j);
    return NULL;
}

/* The only row or ENOENT with a sentence made of what and name. */
static int one_row(json_t *rows, const char *what, const char *name, json_t **ret_row,
                   struct error **err)
{
    json_t *row = json_array_get(rows, 0);

    if (!row)
        return error_set(err, ENOENT, "there is no %s named '%s'", what, name);
    *ret_row = json_incref(row);
    return 0;
}

int journal_add_source(struct journal *j, const char *name, const char *uri, bool secret,
                       struct error **err)
{
    return run(j, NULL, err, "INSERT INTO sources(name, uri, secret) VALUES(?,?,?)", "ssi", name,
               uri, (int64_t)secret);
}

int journal_remove_source(struct journal *j, const char *name, struct error **err)
{
    return run(j, NULL, err, "DELETE FROM sources WHERE name=?", "s", name);
}

int journal_get_source(struct journal *j, const char *name, json_t **ret_row, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = run(j, &rows, err, "SELECT * FROM sources WHERE name=?", "s", name);

    return r < 0 ? r : one_row(rows, "source", name, ret_row, err);
}

int journal_list_sources(struct journal *j, json_t **ret_rows, struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM sources ORDER BY name", "");
}

int journal_list_migrations(struct journal *j, json_t **ret_rows, struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM migrations ORDER BY created_ns, name", "");
}

static int add_event_locked(struct journal *j, const char *migration, const json_t *body,
                            int64_t *ret_seq, struct error **err)
{
    struct stamp now;
    int r;

    stamp_now(&now);
    r = run_locked(j, NULL, err, "INSERT INTO events(time_ns, migration, body_json) VALUES(?,?,?)",
                   "isj", now.wall_ns, migration, body);
    if (r == 0 && ret_seq)
        *ret_seq = sqlite3_last_insert_rowid(j->db);
    return r;
}

#define PUT_COLUMNS                                                                                \
    " migrations(name, source, vm, state, failed_state, params_json, description_json,"            \
    " facts_json, error_code, error, created_ns) VALUES(?,?,?,?,?,?,?,?,?,?,?)"

/* An update in place: REPLACE would delete the row and with it its passes. */
#define PUT_UPDATE                                                                                 \
    " ON CONFLICT(name) DO UPDATE SET state=excluded.state, failed_state=excluded.failed_state,"   \
    " params_json=excluded.params_json, description_json=excluded.description_json,"               \
    " facts_json=excluded.facts_json, error_code=excluded.error_code, error=excluded.error"

static int put_row_locked(struct journal *j, const json_t *row, bool update, struct error **err)
{
    return run_locked(j, NULL, err,
                      update ? "INSERT INTO" PUT_COLUMNS PUT_UPDATE : "INSERT INTO" PUT_COLUMNS,
                      "sssssjjjisi", field_string(row, "name", NULL),
                      field_string(row, "source", NULL), field_string(row, "vm", NULL),
                      field_string(row, "state", NULL), field_string(row, "failed_state", NULL),
                      json_object_get(row, "params"), json_object_get(row, "description"),
                      json_object_get(row, "facts"), field_integer(row, "error_code", 0),
                      field_string(row, "error", NULL), field_integer(row, "created_ns", 0));
}

int journal_put_migration(struct journal *j, const json_t *row, const char *from,
                          const json_t *event, int64_t *ret_seq, struct error **err)
{
    const char *name = field_string(row, "name", NULL), *to = field_string(row, "state", "");
    struct stamp now;
    int r;

    LOCK_FOR_SCOPE(&j->lock);
    stamp_now(&now);
    r = exec_locked(j, "BEGIN IMMEDIATE", err);
    if (r < 0)
        return r;
    r = put_row_locked(j, row, from != NULL, err);
    if (r == 0 && (!from || strcmp(from, to) != 0))
        r = run_locked(j, NULL, err, "INSERT INTO transitions(migration, from_state, to_state, "
                       "wall_ns, mono_ns, boot_id) VALUES(?,?,?,?,?,?)", "sssiis", name, from, to,
                       now.wall_ns, now.mono_ns, now.boot_id);
    if (r == 0 && event)
        r = add_event_locked(j, name, event, ret_seq, err);
    if (r == 0)
        r = exec_locked(j, "COMMIT", err);
    if (r < 0)
        sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

int journal_remove_migration(struct journal *j, const char *name, const json_t *event,
                             int64_t *ret_seq, struct error **err)
{
    int r;

    LOCK_FOR_SCOPE(&j->lock);
    r = exec_locked(j, "BEGIN IMMEDIATE", err);
    if (r < 0)
        return r;
    r = run_locked(j, NULL, err, "DELETE FROM events WHERE migration=?", "s", name);
    if (r == 0)
        r = run_locked(j, NULL, err, "DELETE FROM migrations WHERE name=?", "s", name);
    if (r == 0)
        r = add_event_locked(j, name, event, ret_seq, err);
    if (r == 0)
        r = exec_locked(j, "COMMIT", err);
    if (r < 0)
        sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

int journal_list_transitions(struct journal *j, const char *migration, json_t **ret_rows,
                             struct error **err)
{
    return run(j, ret_rows, err, "SELECT from_state, to_state, wall_ns, mono_ns, boot_id "
               "FROM transitions WHERE migration=? ORDER BY id", "s", migration);
}

int journal_begin_pass(struct journal *j, const char *migration, const char *kind,
                       const char *since, int64_t *ret_id, struct error **err)
{
    struct stamp now;
    int r;

    LOCK_FOR_SCOPE(&j->lock);
    stamp_now(&now);
    r = run_locked(j, NULL, err, "INSERT INTO passes(migration, kind, since, started_ns, "
                   "started_mono_ns, boot_id) VALUES(?,?,?,?,?,?)", "sssiis", migration, kind,
                   since, now.wall_ns, now.mono_ns, now.boot_id);
    if (r == 0)
        *ret_id = sqlite3_last_insert_rowid(j->db);
    return r;
}

int journal_set_pass_snapshot(struct journal *j, int64_t id, const char *snapshot,
                              const json_t *private, const char *why_full, struct error **err)
{
    struct stamp now;

    /* Taken up again it is no measurement any more: the first time counts. */
    stamp_now(&now);
    return run(j, NULL, err, "UPDATE passes SET snapshot=?, private_json=?, why_full=?, freeze_s="
               "COALESCE(freeze_s, CASE WHEN boot_id=? THEN (? - started_mono_ns) / 1e9 END) "
               "WHERE id=?", "sjssii", snapshot, private, why_full, now.boot_id, now.mono_ns, id);
}

int journal_commit_pass(struct journal *j, int64_t id, int64_t generation, const json_t *result,
                        double seconds, struct error **err)
{
    return run(j, NULL, err, "UPDATE passes SET generation=?, result_json=?, seconds=? WHERE id=?",
               "ijdi", generation, result, seconds, id);
}

int journal_end_pass(struct journal *j, int64_t id, struct error **err)
{
    return run(j, NULL, err, "UPDATE passes SET ended=1 WHERE id=?", "i", id);
}

int journal_drop_pass(struct journal *j, int64_t id, struct error **err)
{
    return run(j, NULL, err, "DELETE FROM passes WHERE id=?", "i", id);
}

int journal_open_pass(struct journal *j, const char *migration, json_t **ret_row,
                      struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int r = run(j, &rows, err, "SELECT * FROM passes WHERE migration=? AND ended=0 "
                "ORDER BY id DESC LIMIT 1", "s", migration);

    if (r == 0)
        *ret_row = json_incref(json_array_get(rows, 0));
    return r;
}

int journal_list_passes(struct journal *j, const char *migration, json_t **ret_rows,
                        struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM passes WHERE migration=? ORDER BY id", "s",
               migration);
}

int journal_begin_rehearsal(struct journal *j, const char *migration, const json_t *params,
                            int64_t *ret_id, int64_t *ret_started_ns, struct error **err)
{
    _cleanup_json_ json_t *result = json_object();
    struct stamp now;
    int r;

    LOCK_FOR_SCOPE(&j->lock);
    stamp_now(&now);
    /* One that could not be cleared away: the new one uses the same names and does it. */
    r = run_locked(j, NULL, err, "UPDATE rehearsals SET state='stopped', ended=1 "
                   "WHERE migration=? AND ended=0", "s", migration);
    if (r == 0)
        r = run_locked(j, NULL, err, "INSERT INTO rehearsals(migration, state, params_json, "
                       "result_json, started_ns) VALUES(?,'drafting',?,?,?)", "sjji", migration,
                       params, result, now.wall_ns);
    if (r < 0)
        return r;
    *ret_id = sqlite3_last_insert_rowid(j->db);
    *ret_started_ns = now.wall_ns;
    return 0;
}

int journal_set_rehearsal(struct journal *j, int64_t id, const char *state, const json_t *result,
                          bool ended, struct error **err)
{
    return run(j, NULL, err, "UPDATE rehearsals SET state=?, result_json=?, ended=? WHERE id=?",
               "sjii", state, result, (int64_t)ended, id);
}

int journal_list_rehearsals(struct journal *j, const char *migration, json_t **ret_rows,
                            struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM rehearsals WHERE ?1 IS NULL OR migration = ?1 "
               "ORDER BY id DESC", "s", migration);
}

int journal_add_leftover(struct journal *j, const char *source, const char *migration, int64_t pass,
                         const json_t *thing, int64_t *ret_id, struct error **err)
{
    int r;

    LOCK_FOR_SCOPE(&j->lock);
    r = run_locked(j, NULL, err, "INSERT INTO leftovers(source, migration, pass, thing_json) "
                   "VALUES(?,?,?,?)", "ssij", source, migration, pass, thing);
    if (r == 0)
        *ret_id = sqlite3_last_insert_rowid(j->db);
    return r;
}

int journal_remove_leftover(struct journal *j, int64_t id, struct error **err)
{
    return run(j, NULL, err, "DELETE FROM leftovers WHERE id=?", "i", id);
}

int journal_list_leftovers(struct journal *j, const char *migration, int64_t pass,
                           json_t **ret_rows, struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM leftovers WHERE migration=?1 AND "
               "(?2 < 0 OR pass = ?2) ORDER BY id DESC", "si", migration, pass);
}

int journal_add_event(struct journal *j, const char *migration, const json_t *body,
                      int64_t *ret_seq, struct error **err)
{
    LOCK_FOR_SCOPE(&j->lock);
    return add_event_locked(j, migration, body, ret_seq, err);
}

int journal_list_events(struct journal *j, const char *migration, int64_t after, int64_t limit,
                        json_t **ret_rows, struct error **err)
{
    return run(j, ret_rows, err, "SELECT * FROM events WHERE seq > ?1 AND (?2 IS NULL OR "
               "migration = ?2) ORDER BY seq LIMIT ?3", "isi", after, migration, limit);
}

int journal_newest_event(struct journal *j, int64_t *ret_oldest, int64_t *ret_newest,
                         struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    int64_t newest, kept = strtoll(EVENTS_KEPT, NULL, 10);
    int r = run(j, &rows, err, "SELECT seq FROM sqlite_sequence WHERE name='events'", "");

    if (r < 0)
        return r;
    newest = field_integer(json_array_get(rows, 0), "seq", 0);
    if (ret_oldest)
        *ret_oldest = newest > kept ? newest - kept + 1 : 1;
    *ret_newest = newest;
    return 0;
}
