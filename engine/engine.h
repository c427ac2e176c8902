/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of one VM, as its host process (the nbdkit plugin) uses it.
 *
 * Life: engine_open() takes the locks and recovers the store (T19); engine_start() starts the
 * control socket and the background fold; engine_close() ends both.  Errors are sentences.
 * Data functions return 0 or -errno, may be called from any thread, and do not log.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct engine;
struct export;

struct engine_options {
    const char *store;          /* folder */
    const char *control_socket; /* NULL: STORE/control.sock */
    const char *live_folder;    /* for what must outlive a kill; NULL: /run/slipway/UUID */
    bool accept_loss;           /* go on although acknowledged writes may be lost */
    uint64_t source_wait_ns;    /* how long requests wait for a lost source; 0: 15 s */
    uint64_t fence_ns;          /* how long to wait for writes of a dead engine; 0: 60 s */
    void (*stop)(void *context); /* asked by the control verb "stop"; may be NULL */
    void *stop_context;
};

int engine_open(const struct engine_options *options, struct engine **ret_engine,
                struct error **err);
int engine_start(struct engine *engine, struct error **err);
void engine_close(struct engine *engine); /* NULL is fine */

/*
 * Exports: "<disk>" (latest generation; read-write in owner mode), "<disk>@<generation>",
 * "<draft>/<disk>" (read-write), "<draft>/<disk>+early" (the same, also before that draft exists:
 * then zeros, writes refused).  "" is the first disk.
 * -ENOENT with a sentence for a name that is not there.
 */
int engine_export_open(struct engine *engine, const char *name, struct export **ret_export,
                       struct error **err);
void export_close(struct export *export);

/* Calls fn with each export name that can be opened now. */
int engine_export_list(struct engine *engine,
                       int (*fn)(const char *name, const char *description, void *context),
                       void *context);

uint64_t export_size(const struct export *export); /* bytes */
bool export_writable(const struct export *export);
uint32_t export_minimum_block(const struct export *export); /* bytes */

enum export_flags { EXPORT_FUA = 1, EXPORT_MAY_TRIM = 2, EXPORT_FAST = 4 };

int export_pread(struct export *export, void *data, uint32_t length, uint64_t offset);
int export_pwrite(struct export *export, const void *data, uint32_t length, uint64_t offset,
                  unsigned flags);
/* Makes the range read as zero.  EXPORT_FAST: -EOPNOTSUPP unless it costs no data writes. */
int export_zero(struct export *export, uint32_t length, uint64_t offset, unsigned flags);
int export_trim(struct export *export, uint32_t length, uint64_t offset, unsigned flags);
int export_flush(struct export *export);
/* A hint that the range is read soon: a hydrating owner fetches it first.  Returns at once. */
int export_cache(struct export *export, uint32_t length, uint64_t offset);

/* flags: 1 = reads as zero and takes no space, 0 = data.  See view_extents for the coverage. */
int export_extents(struct export *export, uint64_t length, uint64_t offset,
                   int (*fn)(uint64_t offset, uint64_t length, unsigned flags, void *context),
                   void *context);
