/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding, starting and leaving engine processes (nbdkit with the slipway plugin).
 * An engine belongs to its store, not to whoever started it: it is adopted by connecting to the
 * control socket in the store's folder, and it survives the process that started it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "engine/control.h"

struct engine_disk_spec {
    const char *name;   /* [a-z0-9][a-z0-9._-]{0,31} */
    const char *target; /* raw file or block device; absolute path */
    uint64_t size;      /* bytes; 0: the size of the existing target */
    unsigned keep;      /* generations to keep; of one disk: of all */
    bool preseed;       /* the targets hold old copies; of one disk: of all */
};

/* ENAMETOOLONG when the sockets of an engine would not fit this path of a store. */
int engine_host_check_path(const char *store, struct error **err);

/* Makes a store for a VM (T1).  EEXIST when the folder holds one. */
int engine_host_create(const char *store, const char *vm_name,
                       const struct engine_disk_spec *disks, size_t disk_count,
                       struct error **err);

/* Connects to the store's engine; starts one (in a session of its own, log in STORE/engine.log)
 * when none answers.  *ret_started (may be NULL) tells whether it was started by this call.
 * ENOENT, EBADMSG, EPROTO: the store; EPERM: it is detached; EBUSY: a target is owned by another
 * engine; ETIMEDOUT: the engine did not come up in 90 s.  control_close() is owed. */
int engine_host_attach(const char *store, struct control **ret_control, bool *ret_started,
                       struct error **err);

/* The status object of a store whose engine does not run, read from its superblock. */
int engine_host_rest_status(const char *store, json_t **ret_status, struct error **err);

/*
 * Runs slipway-store with `words` (NULL-terminated, without the program's name) for as long as it
 * takes.  event (may be NULL) receives its progress objects.  *ret_result: the JSON it printed, a
 * new reference.
 */
int engine_host_tool(const char *const *words, control_event_fn *event, void *context,
                     json_t **ret_result, struct error **err);

/* Removes a socket file that nobody listens on (nbdkit does not replace one). */
int engine_host_remove_stale_socket(const char *path);

/* Asks the engine to end and waits up to 30 s for it (ETIMEDOUT); 0 when none is there. */
int engine_host_stop(const char *store, struct error **err);

/* The NBD URI of an export of this store: nbd+unix:///EXPORT?socket=STORE/nbd.sock; caller frees. */
char *engine_host_uri(const char *store, const char *export_name);

/* argv for running the engine in the foreground (for serve): NULL-terminated, freed by
 * engine_host_argv_free.  socket NULL: STORE/nbd.sock. */
char **engine_host_argv(const char *store, const char *socket, struct error **err);
void engine_host_argv_free(char **argv);
