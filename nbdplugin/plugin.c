/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbdkit plugin "slipway": hosts the engine of one VM and answers NBD.
 *
 * nbdkit's worker threads run the engine's fast path themselves: a read of a view is one or a few
 * preads without any lock, so the thread model is fully parallel.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "nbdplugin/parent.h"
#include "nbdplugin/preload.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static char *store_folder;
static char *control_socket, *live_folder;
static int accept_loss;
static double source_wait_s;
static struct engine *engine;

static void slipway_load(void)
{
    preload_hangup();
    outlive_parent();
}

static void slipway_unload(void)
{
    free(store_folder);
    free(control_socket);
    free(live_folder);
}

static int config_wait(const char *value)
{
    char *end;

    source_wait_s = strtod(value, &end);
    if (*value && !*end && source_wait_s > 0 && source_wait_s <= 3600)
        return 0;
    nbdkit_error("source-wait takes seconds, more than 0 and at most 3600, not '%s'", value);
    return -1;
}

static int slipway_config(const char *key, const char *value)
{
    char **where = NULL;

    if (strcmp(key, "accept-loss") == 0)
        return (accept_loss = nbdkit_parse_bool(value)) < 0 ? -1 : 0;
    if (strcmp(key, "source-wait") == 0)
        return config_wait(value);
    if (strcmp(key, "store") == 0)
        where = &store_folder;
    else if (strcmp(key, "control") == 0)
        where = &control_socket;
    else if (strcmp(key, "live") == 0)
        where = &live_folder;
    if (!where) {
        nbdkit_error("unknown parameter '%s'; the slipway plugin takes store=DIR, "
                     "control=SOCKET, live=DIR, source-wait=SECONDS and accept-loss=BOOL", key);
        return -1;
    }
    free(*where);
    *where = where == &store_folder ? nbdkit_realpath(value) : nbdkit_absolute_path(value);
    return *where ? 0 : -1;
}

static int slipway_config_complete(void)
{
    if (store_folder)
        return 0;
    nbdkit_error("the parameter store=DIR is missing: the folder made by 'slipway engine create'");
    return -1;
}

#define slipway_config_help \
    "store=<DIR>      (required) The store of the VM, made by 'slipway engine create'.\n" \
    "control=<SOCKET>            Path of the control socket (default: DIR/control.sock).\n" \
    "live=<DIR>                  For what must outlive a kill (default: /run/slipway/UUID).\n" \
    "source-wait=<SECONDS>       How long requests wait for a lost source (default: 15).\n" \
    "accept-loss=<BOOL>          Go on although acknowledged writes may be lost."

static void stop_asked(void *context)
{
    nbdkit_shutdown();
}

/* nbdkit's exit code says only that it failed, so the kind of error ends the line: [EBUSY]. */
static int refuse(const struct error *err)
{
    const char *name = strerrorname_np(error_code(err));

    nbdkit_error("%s [%s]", error_text(err), name ? name : "EIO");
    return -1;
}

/* Before nbdkit goes into the background, so that a refusal reaches who started it. */
static int slipway_get_ready(void)
{
    struct engine_options options = {
        .store = store_folder,
        .control_socket = control_socket,
        .live_folder = live_folder,
        .accept_loss = accept_loss,
        .source_wait_ns = (uint64_t)(source_wait_s * 1e9),
        .stop = stop_asked};
    _cleanup_error_ struct error *err = NULL;

    return engine_open(&options, &engine, &err) == 0 ? 0 : refuse(err);
}

/* Threads do not survive the fork, so they start here. */
static int slipway_after_fork(void)
{
    _cleanup_error_ struct error *err = NULL;

    return engine_start(engine, &err) == 0 ? 0 : refuse(err);
}

static void slipway_cleanup(void)
{
    engine_close(engine);
    engine = NULL;
}

static int add_export(const char *name, const char *description, void *context)
{
    return nbdkit_add_export(context, name, description);
}

static int slipway_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    return engine_export_list(engine, add_export, exports);
}

static void *slipway_open(int readonly)
{
    _cleanup_error_ struct error *err = NULL;
    struct export *x;

    if (engine_export_open(engine, nbdkit_export_name(), &x, &err) == 0)
        return x;
    nbdkit_error("%s", error_text(err));
    return NULL;
}

static void slipway_close(void *handle)
{
    export_close(handle);
}

static int64_t slipway_get_size(void *handle)
{
    return (int64_t)export_size(handle);
}

static int slipway_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
                              uint32_t *maximum)
{
    *minimum = export_minimum_block(handle);
    *preferred = export_writable(handle) ? 4096 : 65536;
    *maximum = 32 << 20;
    return 0;
}

static int slipway_can_write(void *handle)
{
    return export_writable(handle);
}

static int can_always(void *handle)
{
    return 1;
}

static int slipway_can_fua(void *handle)
{
    return NBDKIT_FUA_NATIVE;
}

static int slipway_can_cache(void *handle)
{
    return NBDKIT_CACHE_NATIVE;
}

/* 0 or -errno to nbdkit's convention.  A revoked reader gets ESHUTDOWN, which NBD can carry. */
static int answer(int r)
{
    if (r >= 0)
        return 0;
    nbdkit_set_error(-r);
    return -1;
}

static int slipway_pread(void *handle, void *data, uint32_t count, uint64_t offset,
                         uint32_t flags)
{
    return answer(export_pread(handle, data, count, offset));
}

static unsigned engine_flags(uint32_t flags)
{
    return (flags & NBDKIT_FLAG_FUA ? EXPORT_FUA : 0) |
           (flags & NBDKIT_FLAG_MAY_TRIM ? EXPORT_MAY_TRIM : 0) |
           (flags & NBDKIT_FLAG_FAST_ZERO ? EXPORT_FAST : 0);
}

static int slipway_pwrite(void *handle, const void *data, uint32_t count, uint64_t offset,
                          uint32_t flags)
{
    return answer(export_pwrite(handle, data, count, offset, engine_flags(flags)));
}

static int slipway_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    return answer(export_zero(handle, count, offset, engine_flags(flags)));
}

static int slipway_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    return answer(export_trim(handle, count, offset, engine_flags(flags)));
}

static int slipway_flush(void *handle, uint32_t flags)
{
    return answer(export_flush(handle));
}

static int slipway_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    return answer(export_cache(handle, count, offset));
}

static int add_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    if (nbdkit_add_extent(context, offset, length,
                          flags ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0) < 0)
        return -ENOMEM;
    return 0;
}

static int slipway_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                           struct nbdkit_extents *extents)
{
    return answer(export_extents(handle, count, offset, add_extent, extents));
}

static struct nbdkit_plugin plugin = {
    .name = "slipway",
    .longname = "Slipway engine",
    .version = "0.1.0",
    .description = "continuously synced mirror of a virtual machine's disks",
    .magic_config_key = "store",
    .load = slipway_load,
    .unload = slipway_unload,
    .config = slipway_config,
    .config_complete = slipway_config_complete,
    .config_help = slipway_config_help,
    .get_ready = slipway_get_ready,
    .after_fork = slipway_after_fork,
    .cleanup = slipway_cleanup,
    .list_exports = slipway_list_exports,
    .open = slipway_open,
    .close = slipway_close,
    .get_size = slipway_get_size,
    .block_size = slipway_block_size,
    .can_write = slipway_can_write,
    .can_multi_conn = can_always,
    .can_extents = can_always,
    .can_zero = can_always,
    .can_fast_zero = can_always,
    .can_trim = can_always,
    .can_flush = can_always,
    .can_fua = slipway_can_fua,
    .can_cache = slipway_can_cache,
    .pread = slipway_pread,
    .pwrite = slipway_pwrite,
    .zero = slipway_zero,
    .trim = slipway_trim,
    .flush = slipway_flush,
    .cache = slipway_cache,
    .extents = slipway_extents,
    .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
