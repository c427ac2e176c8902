/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/keys.h"

#include <string.h>

#include "base/fdio.h"
#include "base/str.h"

int key_parse(const char *text, struct key *ret_key)
{
    const char *rest = text, *equals;

    *ret_key = (struct key){0};
    if (str_starts(text, "UUID=") || str_starts(text, "LABEL="))
        rest = strchr(text, '=') + 1;
    if (rest != text || str_starts(text, "/dev/")) {
        equals = strchr(rest, '=');
        if (!equals || equals == rest)
            return -EINVAL;
        ret_key->device = str_format("%.*s", (int)(equals - text), text);
        rest = equals + 1;
    }
    if (!*rest) {
        free(ret_key->device);
        ret_key->device = NULL;
        return -EINVAL;
    }
    ret_key->file = str_dup(rest);
    return 0;
}

static int read_file(struct key *key, struct error **err)
{
    int r = fdio_read_file(key->file, KEY_MAX, &key->data, &key->length);

    if (r == 0 && key->length == 0)
        r = -ENODATA;
    if (r == -EFBIG)
        return error_set(err, EFBIG, "the key file '%s' is larger than 1 MiB", key->file);
    return r < 0 ? error_set_errno(err, -r, "the key file '%s' cannot be used", key->file) : 0;
}

static void key_done(struct key *key)
{
    if (key->data)
        explicit_bzero(key->data, key->length);
    free(key->device);
    free(key->file);
    free(key->data);
}

int keys_read(char *const *texts, size_t count, struct key_list *ret_list, struct error **err)
{
    struct key_list list = {.items = mem_new(count + 1, sizeof(struct key))};
    int r = 0;

    for (; r == 0 && list.count < count; list.count++) {
        struct key *key = &list.items[list.count];

        r = key_parse(texts[list.count], key);
        if (r < 0)
            error_set(err, EINVAL, "--key '%s': give FILE or DEVICE=FILE", texts[list.count]);
        else
            r = read_file(key, err);
    }
    if (r < 0)
        key_list_done(&list);
    *ret_list = list;
    return r;
}

void key_list_done(struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        key_done(&list->items[i]);
    free(list->items);
    *list = (struct key_list){0};
}

bool key_fits(const struct key *key, const struct volume_list *volumes, const struct volume *volume)
{
    return !key->device || strcmp(key->device, volume->device) == 0 ||
           volume_find(volumes, key->device) == volume;
}
