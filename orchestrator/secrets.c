/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/secrets.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/seal.h"

#define SUFFIX ".sealed"
#define OLD_KEYS_MAX 3

DEFINE_CLEANUP(char *, seal_text_free)
#define _cleanup_secret_ _cleanup_(seal_text_freep)

struct secrets {
    char *folder;
    pthread_mutex_t lock; /* guards what follows */
    bool known;           /* there is a key */
    bool given;           /* it is a credential */
    struct seal_key key;
    struct seal_key old[OLD_KEYS_MAX];
    size_t old_count;
};

static char *path_of(const struct secrets *s, const char *name, const char *suffix)
{
    return str_format("%s/%s%s", s->folder, name, suffix);
}

/* ---- keys ---- */

/* 1: read; 0: there is none. */
static int key_load(const char *path, bool ours, struct seal_key *ret_key, struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    struct stat st;
    size_t length;
    int r = fdio_read_file(path, SEAL_TEXT_MAX, &text, &length);

    if (r == -ENOENT)
        return 0;
    if (r < 0 || stat(path, &st) < 0)
        return error_set_errno(err, r < 0 ? -r : errno, "cannot read the key %s", path);
    if (ours && st.st_mode & (S_IRWXG | S_IRWXO))
        r = error_set(err, EINVAL, "the key %s is open to others: chmod 600 it, then start "
                      "slipwayd --rotate-key once", path);
    else if (length != SEAL_KEY_BYTES)
        r = error_set(err, EBADMSG, "the key %s has %zu bytes instead of %d: put the right one in "
                      "its place; without it remove %s and the *" SUFFIX " beside it, and add the "
                      "sources again", path, length, SEAL_KEY_BYTES, path);
    else
        r = seal_key_init(ret_key, (const uint8_t *)text, err);
    explicit_bzero(text, length);
    return r < 0 ? r : 1;
}

/* Reads a key into the place of the current one, or behind the old ones when there is one. */
static int key_take(struct secrets *s, const char *path, bool ours, struct error **err)
{
    bool current = !s->known;
    int r = key_load(path, ours, current ? &s->key : &s->old[s->old_count], err);

    if (r == 1 && current)
        s->known = true;
    else if (r == 1)
        s->old_count++;
    return r;
}

static int credential_take(struct secrets *s, const char *folder, const char *name,
                           struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s", folder, name);

    return key_take(s, path, false, err);
}

/* The newest first: a key.next is there while a rotation is under way. */
static int keys_load(struct secrets *s, const char *credentials, struct error **err)
{
    _cleanup_free_ char *next = path_of(s, "key", ".next"), *key = path_of(s, "key", "");
    int r = 0;

    if (credentials) {
        r = credential_take(s, credentials, "slipway-key", err);
        s->given = r == 1;
        if (r == 1)
            r = credential_take(s, credentials, "slipway-key-old", err);
    }
    if (r >= 0)
        r = key_take(s, next, true, err);
    return r < 0 ? r : key_take(s, key, true, err);
}

/* Makes FOLDER/key.SUFFIX, which must not be there. */
static int key_create(struct secrets *s, const char *suffix, struct seal_key *ret_key,
                      struct error **err)
{
    _cleanup_free_ char *path = path_of(s, "key", suffix);
    int r;

    if (access(path, F_OK) == 0)
        return error_set(err, EEXIST, "there is a key %s already", path);
    r = seal_key_make(ret_key, err);
    if (r < 0)
        return r;
    r = fdio_replace_file(path, ret_key->bytes, SEAL_KEY_BYTES, 0600);
    return r < 0 ? error_set_errno(err, -r, "cannot write the key %s", path) : 0;
}

/* ---- secrets ---- */

static int put_locked(struct secrets *s, const char *name, const char *value, struct error **err)
{
    _cleanup_free_ char *path = path_of(s, name, SUFFIX);
    _cleanup_free_ uint8_t *data = NULL;
    size_t length;
    int r = s->known ? 0 : key_create(s, "", &s->key, err);

    if (r < 0)
        return r;
    s->known = true;
    r = seal_close(&s->key, name, value, strlen(value), &data, &length, err);
    if (r < 0)
        return r;
    r = fdio_replace_file(path, data, length, 0600);
    return r < 0 ? error_set_errno(err, -r, "cannot write %s", path) : 0;
}

int secrets_put(struct secrets *s, const char *name, const char *value, struct error **err)
{
    LOCK_FOR_SCOPE(&s->lock);
    return put_locked(s, name, value, err);
}

/* The key that a seal needs, or NULL. */
static const struct seal_key *key_find(const struct secrets *s, const uint8_t id[SEAL_ID_BYTES])
{
    if (s->known && memcmp(s->key.id, id, SEAL_ID_BYTES) == 0)
        return &s->key;
    for (size_t i = 0; i < s->old_count; i++)
        if (memcmp(s->old[i].id, id, SEAL_ID_BYTES) == 0)
            return &s->old[i];
    return NULL;
}

/* *ret_key: with which it was encrypted. */
static int get_locked(struct secrets *s, const char *name, char **ret_value,
                      const struct seal_key **ret_key, struct error **err)
{
    _cleanup_free_ char *path = path_of(s, name, SUFFIX), *data = NULL;
    uint8_t id[SEAL_ID_BYTES];
    size_t length;
    int r = fdio_read_file(path, SEAL_BYTES_MAX, &data, &length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s", path);
    r = seal_key_id((const uint8_t *)data, length, id, err);
    *ret_key = r == 0 ? key_find(s, id) : NULL;
    if (r == 0 && !*ret_key)
        r = error_set(err, EKEYREJECTED, "it is encrypted with a key that is not here; give it as "
                      "%s/key, or as the systemd credential slipway-key-old", s->folder);
    if (r == 0)
        r = seal_open(*ret_key, name, (const uint8_t *)data, length, ret_value, err);
    return r < 0 ? error_prefix(err, "%s cannot be used", path) : 0;
}

int secrets_get(struct secrets *s, const char *name, char **ret_value, struct error **err)
{
    const struct seal_key *key;

    LOCK_FOR_SCOPE(&s->lock);
    return get_locked(s, name, ret_value, &key, err);
}

int secrets_remove(struct secrets *s, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(s, name, SUFFIX);

    LOCK_FOR_SCOPE(&s->lock);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "cannot remove %s", path);
    return fdio_sync_parent(path);
}

/* ---- what is of an older key, or of none ---- */

/* Where the disk lets us; a copy-on-write file system or a flash disk keeps what was there. */
static int overwrite(const char *path, size_t length)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_free_ char *zeros = mem_new(1, length + 1);

    if (fd < 0 || fdio_write_all(fd, zeros, length) < 0 || fsync(fd) < 0)
        return -errno;
    return unlink(path) < 0 ? -errno : fdio_sync_parent(path);
}

int secrets_take_plain(struct secrets *s, const char *name, struct error **err)
{
    _cleanup_free_ char *path = path_of(s, name, ""), *sealed = path_of(s, name, SUFFIX);
    _cleanup_secret_ char *value = NULL;
    size_t length;
    int r;

    LOCK_FOR_SCOPE(&s->lock);
    r = fdio_read_file(path, SEAL_TEXT_MAX, &value, &length);
    if (r == -ENOENT || strcmp(name, "key") == 0)
        return 0;
    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s", path);
    /* Sealed already: we were interrupted before the plain one was gone. */
    r = access(sealed, F_OK) == 0 ? 0 : put_locked(s, name, value, err);
    if (r < 0)
        return r;
    r = overwrite(path, length);
    return r < 0 ? error_set_errno(err, -r, "cannot remove %s, where a password stands in the open",
                                   path) : 0;
}

/* One secret, when it is of an older key. */
static int renew_locked(struct secrets *s, const char *name, size_t *count, struct error **err)
{
    _cleanup_secret_ char *value = NULL;
    const struct seal_key *key;
    int r = get_locked(s, name, &value, &key, err);

    if (r < 0 || key == &s->key)
        return r;
    r = put_locked(s, name, value, err);
    *count += r == 0;
    return r;
}

/* All of them, also behind one that cannot be; the first failure counts. */
static int renew_all_locked(struct secrets *s, size_t *count, struct error **err)
{
    DIR *dir = opendir(s->folder);
    struct dirent *entry;
    int first = 0;

    *count = 0;
    if (!dir)
        return error_set_errno(err, errno, "cannot read %s", s->folder);
    while ((entry = readdir(dir))) {
        _cleanup_free_ char *name = str_dup(entry->d_name);
        size_t length = strlen(name), suffix = strlen(SUFFIX);
        int r;

        if (length <= suffix || strcmp(name + length - suffix, SUFFIX) != 0)
            continue;
        name[length - suffix] = '\0';
        r = renew_locked(s, name, count, err); /* err keeps the first sentence */
        first = first < 0 ? first : r;
    }
    closedir(dir);
    return first;
}

/* Lets go of the older keys, which nothing needs any more. */
static int drop_old_locked(struct secrets *s, struct error **err)
{
    _cleanup_free_ char *next = path_of(s, "key", ".next"), *key = path_of(s, "key", "");
    int r = 0;

    if (s->given && ((unlink(key) < 0 && errno != ENOENT) || (unlink(next) < 0 && errno != ENOENT)))
        r = -errno;
    else if (!s->given && rename(next, key) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0)
        r = fdio_sync_parent(key);
    if (r < 0)
        return error_set_errno(err, -r, "cannot put the key %s in its place", key);
    explicit_bzero(s->old, sizeof(s->old));
    s->old_count = 0;
    return 0;
}

/* Encrypts with the current key what is not; one that cannot be read keeps the older keys. */
static int settle_locked(struct secrets *s, size_t *ret_count, struct error **err)
{
    *ret_count = 0;
    if (!s->known || renew_all_locked(s, ret_count, NULL) < 0)
        return 0;
    return drop_old_locked(s, err);
}

int secrets_rotate(struct secrets *s, size_t *ret_count, struct error **err)
{
    struct seal_key made;
    int r;

    LOCK_FOR_SCOPE(&s->lock);
    if (s->given)
        return error_set(err, EPERM, "the key is the systemd credential slipway-key: give the new "
                         "one as slipway-key and this one as slipway-key-old, and start slipwayd");
    r = s->known ? renew_all_locked(s, ret_count, err) : 0;
    if (r < 0)
        return error_prefix(err, "no new key before the source of this one is removed");
    r = key_create(s, s->known ? ".next" : "", &made, err);
    if (r < 0)
        return r;
    if (s->known)
        s->old[s->old_count++] = s->key;
    s->key = made;
    explicit_bzero(&made, sizeof(made));
    s->known = true;
    r = renew_all_locked(s, ret_count, err);
    return r < 0 ? r : drop_old_locked(s, err);
}

int secrets_open(const char *folder, const char *credentials, struct secrets **ret_secrets,
                 struct error **err)
{
    struct secrets *s = mem_new(1, sizeof(*s));
    size_t count;
    int r;

    s->folder = str_dup(folder);
    pthread_mutex_init(&s->lock, NULL);
    r = keys_load(s, credentials, err);
    if (r >= 0)
        r = settle_locked(s, &count, err);
    if (r < 0)
        secrets_close(s);
    else
        *ret_secrets = s;
    return r < 0 ? r : 0;
}

struct secrets *secrets_close(struct secrets *s)
{
    if (!s)
        return NULL;
    pthread_mutex_destroy(&s->lock);
    free(s->folder);
    explicit_bzero(s, sizeof(*s));
    free(s);
    return NULL;
}
