/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/hive.h"

#include <hivex.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/tree.h"
#include "morph/utf16.h"

#define HEADER 4096
#define KEY_NAME_MAX 255

/* A value that was set. */
struct setting {
    char *path, *value, *data;
    size_t length;
    enum hive_value_type type;
};

struct hive {
    hive_h *h;
    struct setting *settings;
    size_t setting_count;
    char *name;
    bool changed;
    bool unfinished;
};

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* hivex takes and makes files, so a file in memory it is. */
static int memory_file(int *ret_fd, char ret_path[static 32])
{
    int fd = memfd_create("slipway-hive", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(ret_path, 32, "/proc/self/fd/%d", fd);
    *ret_fd = fd;
    return 0;
}

int hive_open(const char *name, const void *data, size_t length, struct hive **ret_hive,
              struct error **err)
{
    _cleanup_close_ int fd = -1;
    struct hive *hive;
    char path[32];
    hive_h *h;
    int r;

    if (length < 2 * HEADER || length > HIVE_MAX || memcmp(data, "regf", 4) != 0)
        return error_set(err, EBADMSG,
                         "the guest's registry hive %s is no hive; start the guest in the source, "
                         "shut it down and sync again",
                         name);
    /* hivex believes this when it makes room for something new. */
    if (le32((const unsigned char *)data + 40) > length - HEADER)
        return error_set(err, EBADMSG,
                         "the guest's registry hive %s is shorter than it says; start the guest in "
                         "the source, shut it down and sync again",
                         name);
    r = memory_file(&fd, path);
    if (r == 0)
        r = fdio_write_all(fd, data, length);
    if (r < 0)
        return error_set_errno(err, -r, "cannot keep the registry hive %s in memory", name);
    h = hivex_open(path, HIVEX_OPEN_WRITE);
    if (!h || hivex_root(h) == 0) {
        if (h)
            hivex_close(h);
        return error_set(err, EBADMSG,
                         "the guest's registry hive %s is damaged; start the guest in the source, "
                         "let it repair itself, shut it down and sync again",
                         name);
    }
    hive = mem_new(1, sizeof(*hive));
    hive->h = h;
    hive->name = str_dup(name);
    hive->unfinished =
        le32((const unsigned char *)data + 4) != le32((const unsigned char *)data + 8);
    *ret_hive = hive;
    return 0;
}

static void setting_done(struct setting *s)
{
    free(s->path);
    free(s->value);
    free(s->data);
}

/* Notes what the value has to be in the end. */
static void remember(struct hive *hive, const char *path, const char *value,
                     enum hive_value_type type, const void *data, size_t length)
{
    struct setting *s = NULL;

    for (size_t i = 0; !s && i < hive->setting_count; i++)
        if (strcasecmp(hive->settings[i].path, path) == 0 &&
            strcasecmp(hive->settings[i].value, value) == 0)
            s = &hive->settings[i];
    if (s) {
        setting_done(s);
    } else {
        hive->settings =
            reallocarray(hive->settings, hive->setting_count + 1, sizeof(*hive->settings));
        if (!hive->settings)
            abort();
        s = &hive->settings[hive->setting_count++];
    }
    *s = (struct setting){.path = str_dup(path),
                          .value = str_dup(value),
                          .data = mem_new(length + 1, 1),
                          .length = length,
                          .type = type};
    if (length > 0)
        memcpy(s->data, data, length);
}

struct hive *hive_free(struct hive *hive)
{
    if (hive) {
        for (size_t i = 0; i < hive->setting_count; i++)
            setting_done(&hive->settings[i]);
        free(hive->settings);
        hivex_close(hive->h);
        free(hive->name);
        free(hive);
    }
    return NULL;
}

bool hive_is_unfinished(const struct hive *hive)
{
    return hive->unfinished;
}

bool hive_is_changed(const struct hive *hive)
{
    return hive->changed;
}

static bool is_set(struct hive *hive, const struct setting *s)
{
    size_t length = 0;
    uint32_t type = 0;
    _cleanup_free_ char *data = hive_bytes(hive, s->path, s->value, &type, &length);

    return data && type == s->type && length == s->length && memcmp(data, s->data, length) == 0;
}

/* What was set into a hive that is damaged elsewhere may not be found in it. */
static int check_settings(const struct hive *hive, const char *data, size_t length,
                          struct error **err)
{
    _cleanup_hive_ struct hive *again = NULL;
    int r = hive_open(hive->name, data, length, &again, err);

    for (size_t i = 0; r == 0 && i < hive->setting_count; i++)
        if (!is_set(again, &hive->settings[i]))
            r = error_set(err, EBADMSG,
                          "the guest's registry hive %s is damaged: %s does not stay in it; start "
                          "the guest in the source, let it repair itself, shut it down and sync "
                          "again",
                          hive->name, hive->settings[i].path);
    return r;
}

int hive_commit(struct hive *hive, char **ret_data, size_t *ret_length, struct error **err)
{
    _cleanup_close_ int fd = -1;
    _cleanup_free_ char *data = NULL;
    struct stat st;
    char path[32];
    int r = memory_file(&fd, path);

    if (r == 0 && hivex_commit(hive->h, path, 0) < 0)
        r = -errno;
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0 && (st.st_size < 2 * HEADER || (size_t)st.st_size > HIVE_MAX))
        r = -EFBIG;
    if (r < 0)
        return error_set_errno(err, -r, "cannot write the changed registry hive %s", hive->name);
    data = mem_new((size_t)st.st_size, 1);
    if (fdio_read_all(fd, data, (size_t)st.st_size) != st.st_size)
        return error_set(err, EIO, "cannot read the changed registry hive %s back", hive->name);
    r = check_settings(hive, data, (size_t)st.st_size, err);
    if (r < 0)
        return r;
    *ret_length = (size_t)st.st_size;
    *ret_data = steal_ptr(data);
    return 0;
}

/* The next name of a path, or false at its end. */
static bool next_name(const char **path, char name[static KEY_NAME_MAX + 1])
{
    size_t n = strcspn(*path, "\\");

    if (n == 0 || n > KEY_NAME_MAX)
        return false;
    memcpy(name, *path, n);
    name[n] = '\0';
    *path += n + ((*path)[n] == '\\');
    return true;
}

/* 0 when there is no such key. */
static hive_node_h find(struct hive *hive, const char *path)
{
    hive_node_h node = hivex_root(hive->h);
    char name[KEY_NAME_MAX + 1];

    while (node && *path)
        node = next_name(&path, name) ? hivex_node_get_child(hive->h, node, name) : 0;
    return node;
}

static hive_value_h find_value(struct hive *hive, const char *path, const char *value)
{
    hive_node_h node = find(hive, path);

    return node ? hivex_node_get_value(hive->h, node, value) : 0;
}

bool hive_has_key(struct hive *hive, const char *path)
{
    return find(hive, path) != 0;
}

char **hive_list(struct hive *hive, const char *path)
{
    hive_node_h node = find(hive, path);
    hive_node_h *children = node ? hivex_node_children(hive->h, node) : NULL;
    char **names;
    size_t count = 0, kept = 0;

    while (children && children[count] && count < HIVE_LIST_MAX)
        count++;
    names = mem_new(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        char *name = hivex_node_name(hive->h, children[i]);

        /* Such a name could not be part of a path here. */
        if (name && *name && strlen(name) <= KEY_NAME_MAX && !strchr(name, '\\'))
            names[kept++] = name;
        else
            free(name);
    }
    free(children);
    return names;
}

char *hive_bytes(struct hive *hive, const char *path, const char *value, uint32_t *ret_type,
                 size_t *ret_length)
{
    hive_value_h v = find_value(hive, path, value);
    hive_type type;
    size_t length;
    char *data;

    if (!v || hivex_value_type(hive->h, v, &type, &length) < 0 || length > HIVE_VALUE_MAX)
        return NULL;
    data = hivex_value_value(hive->h, v, &type, &length);
    if (!data)
        return NULL;
    *ret_type = type;
    *ret_length = length;
    return data;
}

char *hive_text(struct hive *hive, const char *path, const char *value)
{
    size_t length = 0;
    uint32_t type = 0;
    _cleanup_free_ char *data = hive_bytes(hive, path, value, &type, &length);

    if (!data || (type != HIVE_TEXT && type != HIVE_EXPAND))
        return NULL;
    return utf16_decode(data, length);
}

char **hive_texts(struct hive *hive, const char *path, const char *value)
{
    size_t length = 0, at = 0, count = 0;
    uint32_t type = 0;
    _cleanup_free_ char *data = hive_bytes(hive, path, value, &type, &length);
    char **list;

    if (!data || (type != HIVE_TEXTS && type != HIVE_TEXT))
        length = 0;
    list = mem_new(length / 2 + 2, sizeof(*list));
    while (at + 1 < length && (data[at] || data[at + 1])) {
        size_t end = at;

        while (end + 1 < length && (data[end] || data[end + 1]))
            end += 2;
        list[count++] = utf16_decode(data + at, end - at);
        at = end + 2;
    }
    return list;
}

bool hive_number(struct hive *hive, const char *path, const char *value, uint32_t *ret_number)
{
    size_t length = 0;
    uint32_t type = 0;
    _cleanup_free_ char *data = hive_bytes(hive, path, value, &type, &length);

    if (!data || type != HIVE_NUMBER || length != 4)
        return false;
    *ret_number = le32((const unsigned char *)data);
    return true;
}

static int change_error(struct hive *hive, const char *path, int code, struct error **err)
{
    return error_set_errno(err, code > 0 ? code : EIO, "cannot change %s in the registry hive %s",
                           path, hive->name);
}

/* The key, made when it is missing. */
static int make(struct hive *hive, const char *path, hive_node_h *ret_node, struct error **err)
{
    hive_node_h node = hivex_root(hive->h);
    const char *rest = path;
    char name[KEY_NAME_MAX + 1];

    while (*rest) {
        hive_node_h child;

        if (!next_name(&rest, name))
            return error_set(err, EINVAL, "'%s' is no path in a registry hive", path);
        child = hivex_node_get_child(hive->h, node, name);
        if (!child) {
            errno = 0;
            child = hivex_node_add_child(hive->h, node, name);
            hive->changed = true;
        }
        if (!child)
            return change_error(hive, path, errno, err);
        node = child;
    }
    *ret_node = node;
    return 0;
}

int hive_set(struct hive *hive, const char *path, const char *value, enum hive_value_type type,
             const void *data, size_t length, struct error **err)
{
    size_t old_length = 0;
    uint32_t old_type = 0;
    _cleanup_free_ char *old = hive_bytes(hive, path, value, &old_type, &old_length);
    hive_node_h node;
    int r;

    if (old && old_type == type && old_length == length && memcmp(old, data, length) == 0)
        return 0;
    r = make(hive, path, &node, err);
    if (r < 0)
        return r;
    hive_set_value set = {
        .key = (char *)value, .t = (hive_type)type, .len = length, .value = (char *)data};
    errno = 0;
    if (hivex_node_set_value(hive->h, node, &set, 0) < 0)
        return change_error(hive, path, errno, err);
    hive->changed = true;
    remember(hive, path, value, type, data, length);
    return 1;
}

int hive_set_number(struct hive *hive, const char *path, const char *value, uint32_t number,
                    struct error **err)
{
    unsigned char bytes[4] = {number & 0xff, number >> 8 & 0xff, number >> 16 & 0xff, number >> 24};

    return hive_set(hive, path, value, HIVE_NUMBER, bytes, sizeof(bytes), err);
}

int hive_set_text(struct hive *hive, const char *path, const char *value, enum hive_value_type type,
                  const char *text, struct error **err)
{
    _cleanup_buffer_ struct buffer bytes = {0};

    utf16_encode(&bytes, text);
    buffer_add_zeros(&bytes, type == HIVE_TEXTS ? 4 : 2);
    return hive_set(hive, path, value, type, bytes.data, bytes.length, err);
}

int hive_make_key(struct hive *hive, const char *path, struct error **err)
{
    hive_node_h node;
    int r;

    if (hive_has_key(hive, path))
        return 0;
    r = make(hive, path, &node, err);
    return r < 0 ? r : 1;
}
