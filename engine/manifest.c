/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/attest.h"
#include "engine/export.h"

#define MANIFEST_FORMAT 1
#define CHUNK (UINT64_C(1) << 20)

/* ---- hexadecimal ---- */

static void to_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
    for (size_t i = 0; i < count; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int from_hex(const char *text, size_t count, uint8_t *ret_bytes)
{
    if (!text || strlen(text) != 2 * count)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EBADMSG;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

/* ---- hashing ---- */

/* Reads a range; 0 or -errno. */
typedef int read_fn(void *context, void *data, uint32_t length, uint64_t offset);

struct hashing {
    read_fn *read;
    void *read_context;
    uint64_t size;
    uint64_t *done_bytes, total_bytes;
    progress_fn *progress;
    void *context;
};

static int add_blocks(struct attest_tree *t, const uint8_t *data, uint32_t length)
{
    int r = 0;

    for (uint32_t at = 0; r == 0 && at < length; at += BLOCK_SIZE)
        r = attest_tree_add(t, data + at, MIN((uint64_t)(length - at), BLOCK_SIZE));
    return r;
}

static int hash_all(const struct hashing *h, uint8_t ret_root[ATTEST_HASH])
{
    _cleanup_free_ uint8_t *data = mem_new(1, CHUNK);
    struct attest_tree tree = {0};
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < h->size; at += CHUNK) {
        uint32_t length = (uint32_t)MIN(CHUNK, h->size - at);
        struct progress_report p = {"hash", *h->done_bytes, h->total_bytes};

        r = h->read(h->read_context, data, length, at);
        if (r == 0)
            r = add_blocks(&tree, data, length);
        *h->done_bytes += length;
        if (h->progress)
            h->progress(&p, h->context);
    }
    return r < 0 ? r : attest_tree_root(&tree, ret_root);
}

/* ---- making one ---- */

struct making {
    struct verify *stop;
    struct engine *engine;
    struct view *view; /* NULL: owner */
    struct disk *disk;
    uint64_t owner_opens;
};

/* -EBUSY: a writer has been there, so what was read is of no one moment. */
static int check_moment(struct making *m)
{
    struct engine *e = m->engine;

    if (atomic_load(&m->stop->cancel))
        return -ECANCELED;
    LOCK_FOR_SCOPE(&e->lock);
    if (m->view)
        return e->flipping || atomic_load(&m->view->revoked) ? -ESHUTDOWN : 0;
    for (const struct export *x = e->exports; x; x = x->next)
        if (x->ops == &export_owner_ops)
            return -EBUSY;
    return e->owner_opens == m->owner_opens ? 0 : -EBUSY;
}

static int read_disk(void *context, void *data, uint32_t length, uint64_t offset)
{
    struct making *m = context;
    int r = check_moment(m);

    if (r < 0)
        return r;
    if (m->view)
        return view_pread(m->view, m->disk, data, length, offset);
    return io_read(m->disk->io, m->disk->target.buffered_fd, data, length, offset);
}

static int making_failed(const struct making *m, int code, struct error **err)
{
    if (code == ECANCELED)
        return error_set(err, ECANCELED, "making the manifest was cancelled");
    if (code == ESHUTDOWN)
        return error_set(err, ECANCELED, "the mirror is being flipped, which ended the manifest; "
                                         "make one of the owner");
    if (code == EBUSY)
        return error_set(err, EBUSY, "the disks of %s are open for writing; make the manifest "
                                     "before the VM starts, or after it has ended",
                         m->engine->store);
    return error_set_errno(err, code, "cannot read disk %s", m->disk->name);
}

static int make_disks(struct making *m, json_t *disks, progress_fn *progress, void *context,
                      struct error **err)
{
    struct engine *e = m->engine;
    uint64_t done = 0, total = 0;
    int r = 0;

    for (unsigned i = 0; i < e->disk_count; i++)
        total += e->disks[i].size;
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct hashing h = {read_disk, m, e->disks[i].size, &done, total, progress, context};
        uint8_t root[ATTEST_HASH];
        char hex[2 * ATTEST_HASH + 1];

        m->disk = &e->disks[i];
        r = hash_all(&h, root);
        if (r < 0)
            return making_failed(m, -r, err);
        to_hex(root, ATTEST_HASH, hex);
        json_array_append_new(disks, json_pack("{s:s, s:I, s:I, s:s}", "name", m->disk->name,
                                               "size_bytes", (json_int_t)m->disk->size,
                                               "block_bytes", (json_int_t)BLOCK_SIZE,
                                               "sha256_tree", hex));
    }
    r = check_moment(m);
    return r < 0 ? making_failed(m, -r, err) : 0;
}

static json_t *describe(const struct making *m, json_t *disks)
{
    struct super root = superfile_get(&m->engine->super);
    uint64_t gen = m->view ? m->view->gen : root.cur_gen;
    char uuid[33], now[32];
    time_t seconds = time(NULL);
    struct tm tm;

    to_hex(root.vm_uuid, 16, uuid);
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:s?, s:s, s:O}", "slipway_manifest",
                     MANIFEST_FORMAT, "tool", "slipway " SLIPWAY_VERSION, "vm", m->engine->vm_name,
                     "uuid", uuid, "mode", store_mode_name(root.mode), "generation",
                     (json_int_t)gen, "snapshot", gen == root.cur_gen ? root.snapshot : NULL,
                     "time", now, "disks", disks);
}

static char *canonical(const json_t *manifest)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)manifest);
    char *text;

    json_object_del(copy, "signature");
    text = json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(copy);
    return text;
}

static int sign(json_t *manifest, const char *key, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    uint8_t public[ATTEST_PUBLIC], signature[ATTEST_SIGNATURE];
    char hex[2 * ATTEST_SIGNATURE + 1];
    int r = attest_key_public(key, public, err);

    if (r < 0)
        return r;
    to_hex(public, ATTEST_PUBLIC, hex);
    json_object_set_new(manifest, "public_key", json_string(hex));
    text = canonical(manifest);
    r = text ? attest_sign(key, text, strlen(text), signature, err)
             : error_set_errno(err, ENOMEM, "cannot sign the manifest");
    to_hex(signature, ATTEST_SIGNATURE, hex);
    if (r == 0)
        json_object_set_new(manifest, "signature", json_string(hex));
    return r;
}

/* A key that cannot sign is told before hours of reading. */
static int try_key(const char *key, struct error **err)
{
    uint8_t signature[ATTEST_SIGNATURE];

    return key ? attest_sign(key, "", 0, signature, err) : 0;
}

static int make(struct making *m, const char *key, progress_fn *progress, void *context,
                json_t **ret_manifest, struct error **err)
{
    json_t *disks = json_array(), *manifest = NULL;
    int r = make_disks(m, disks, progress, context, err);

    if (r == 0)
        manifest = describe(m, disks);
    json_decref(disks);
    if (r == 0 && key)
        r = sign(manifest, key, err);
    if (r < 0) {
        json_decref(manifest);
        return r;
    }
    *ret_manifest = manifest;
    return 0;
}

int manifest_make(struct verify *stop, struct engine *e, const char *key, progress_fn *progress,
                  void *context, json_t **ret_manifest, struct error **err)
{
    struct making m = {.stop = stop, .engine = e};
    int r = try_key(key, err);

    if (r < 0)
        return r;
    if (view_get(e, NO_GENERATION, &m.view) == 0) {
        r = make(&m, key, progress, context, ret_manifest, err);
        view_put(m.view);
        return r;
    }
    r = engine_operation_begin(e, "manifest", 1u << MODE_OWNER, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&e->lock);
    m.owner_opens = e->owner_opens;
    pthread_mutex_unlock(&e->lock);
    r = make(&m, key, progress, context, ret_manifest, err);
    engine_operation_end(e);
    return r;
}

/* ---- checking one ---- */

static int check_disk_entry(const json_t *d)
{
    uint8_t root[ATTEST_HASH];
    json_int_t size = json_integer_value(json_object_get(d, "size_bytes"));

    if (!json_is_string(json_object_get(d, "name")) || size <= 0 ||
        (uint64_t)size > DISK_SIZE_MAX ||
        json_integer_value(json_object_get(d, "block_bytes")) != (json_int_t)BLOCK_SIZE)
        return -EBADMSG;
    return from_hex(json_string_value(json_object_get(d, "sha256_tree")), ATTEST_HASH, root);
}

static int check_fields(const json_t *j, const char *where, struct error **err)
{
    static const char *const texts[] = {"tool", "vm", "uuid", "time", "mode"};
    const json_t *disks = json_object_get(j, "disks");

    if (!json_is_integer(json_object_get(j, "slipway_manifest")))
        return error_set(err, EBADMSG, "%s is no manifest", where);
    if (json_integer_value(json_object_get(j, "slipway_manifest")) != MANIFEST_FORMAT)
        return error_set(err, EPROTO, "%s has another format than %d; use the Slipway version that "
                                      "made it", where, MANIFEST_FORMAT);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (!json_is_string(json_object_get(j, texts[i])))
            return error_set(err, EBADMSG, "%s is damaged: '%s' is missing", where, texts[i]);
    if (json_array_size(disks) == 0 || json_array_size(disks) > DISKS_MAX)
        return error_set(err, EBADMSG, "%s is damaged: it has no disks, or too many", where);
    for (size_t i = 0; i < json_array_size(disks); i++)
        if (check_disk_entry(json_array_get(disks, i)) < 0)
            return error_set(err, EBADMSG, "%s is damaged: disk %zu lacks name, size or hash",
                             where, i + 1);
    return 0;
}

static int check_signature(const json_t *j, const char *where, const char *public_key,
                           struct error **err)
{
    _cleanup_free_ char *text = canonical(j);
    uint8_t public[ATTEST_PUBLIC], wanted[ATTEST_PUBLIC], signature[ATTEST_SIGNATURE];
    int r = 0;

    if (!json_object_get(j, "signature") && !public_key)
        return 0;
    if (!json_object_get(j, "signature"))
        return error_set(err, EBADMSG, "%s is not signed", where);
    if (from_hex(json_string_value(json_object_get(j, "public_key")), ATTEST_PUBLIC, public) < 0 ||
        from_hex(json_string_value(json_object_get(j, "signature")), ATTEST_SIGNATURE,
                 signature) < 0)
        return error_set(err, EBADMSG, "%s is damaged: its key or signature is malformed", where);
    if (public_key)
        r = attest_key_public(public_key, wanted, err);
    if (r == 0 && public_key && memcmp(public, wanted, ATTEST_PUBLIC) != 0)
        return error_set(err, EBADMSG, "%s was signed with another key than %s", where, public_key);
    if (r == 0 && (!text || attest_check(public, text, strlen(text), signature) < 0))
        return error_set(err, EBADMSG, "the signature of %s does not fit: it was changed after it "
                                       "was signed", where);
    return r;
}

int manifest_parse(const char *text, size_t length, const char *where, const char *public_key,
                   json_t **ret_manifest, struct error **err)
{
    json_error_t why;
    json_t *j = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    int r;

    if (!json_is_object(j)) {
        r = error_set(err, EBADMSG, "%s is no manifest (line %d: %s)", where, j ? 1 : why.line,
                      j ? "not an object" : why.text);
        json_decref(j);
        return r;
    }
    r = check_fields(j, where, err);
    if (r == 0)
        r = check_signature(j, where, public_key, err);
    if (r < 0) {
        json_decref(j);
        return r;
    }
    *ret_manifest = j;
    return 0;
}

struct open_file {
    struct io *io;
    int fd;
};

static int read_file(void *context, void *data, uint32_t length, uint64_t offset)
{
    struct open_file *f = context;

    return io_read(f->io, f->fd, data, length, offset);
}

static const json_t *find_disk(const json_t *manifest, const char *name)
{
    const json_t *disks = json_object_get(manifest, "disks");

    for (size_t i = 0; i < json_array_size(disks); i++) {
        const json_t *d = json_array_get(disks, i);

        if (strcmp(json_string_value(json_object_get(d, "name")), name) == 0)
            return d;
    }
    return NULL;
}

int manifest_check_disk(const json_t *manifest, const char *disk, struct io *io, const char *path,
                        progress_fn *progress, void *context, struct error **err)
{
    const json_t *d = find_disk(manifest, disk);
    struct open_file f = {.io = io};
    uint8_t wanted[ATTEST_HASH], have[ATTEST_HASH];
    uint64_t size, have_size = 0, done = 0;
    int r;

    if (!d)
        return error_set(err, ENOENT, "the manifest has no disk '%s'", disk);
    size = (uint64_t)json_integer_value(json_object_get(d, "size_bytes"));
    from_hex(json_string_value(json_object_get(d, "sha256_tree")), ATTEST_HASH, wanted);
    f.fd = io->ops->open(io, path, IO_RDONLY);
    if (f.fd < 0)
        return error_set_errno(err, -f.fd, "cannot open %s", path);
    r = io->ops->size(io, f.fd, &have_size);
    if (r == 0 && have_size >= size) {
        struct hashing h = {read_file, &f, size, &done, size, progress, context};

        r = hash_all(&h, have);
    }
    io->ops->close(io, f.fd);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s", path);
    return have_size >= size && memcmp(have, wanted, ATTEST_HASH) == 0;
}
