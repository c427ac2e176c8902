/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/vmstate.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "engine/control.h"

static const char *text_of(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s ? s : "";
}

/* A name that can be one in a folder. */
static bool is_name(const char *s)
{
    return *s && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static int nonsense(struct error **err)
{
    return error_set(err, EIO, "the engine's status is not what this program knows; are both of "
                               "one version?");
}

static int parse_disks(const json_t *list, struct vm_state *s)
{
    s->disks = mem_new(json_array_size(list) + 1, sizeof(*s->disks));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i), *size = json_object_get(d, "size_bytes");

        if (!is_name(text_of(d, "name")) || !json_is_integer(size) || json_integer_value(size) < 0)
            return -EIO;
        s->disks[s->disk_count].size = (uint64_t)json_integer_value(size);
        s->disks[s->disk_count++].name = str_dup(text_of(d, "name"));
    }
    return 0;
}

static int parse_retained(const json_t *list, struct vm_state *s)
{
    s->retained = mem_new(json_array_size(list) + 1, sizeof(*s->retained));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *g = json_array_get(list, i);

        if (!json_is_integer(g) || json_integer_value(g) < 0)
            return -EIO;
        s->retained[s->retained_count++] = (uint64_t)json_integer_value(g);
    }
    return 0;
}

static int parse_drafts(const json_t *list, struct vm_state *s)
{
    s->drafts = mem_new(json_array_size(list) + 1, sizeof(*s->drafts));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = text_of(json_array_get(list, i), "name");

        if (!is_name(name))
            return -EIO;
        s->drafts[s->draft_count++] = str_dup(name);
    }
    return 0;
}

static int parse(const json_t *j, struct vm_state *s)
{
    const json_t *generation = json_object_get(j, "generation");
    int r;

    s->running = json_is_true(json_object_get(j, "running"));
    s->mode = str_dup(text_of(j, "mode"));
    s->snapshot = str_dup(text_of(j, "snapshot"));
    s->mirror = strcmp(s->mode, "mirror") == 0 && json_is_integer(generation) &&
                json_integer_value(generation) >= 0;
    s->owner = strcmp(s->mode, "owner") == 0 || strcmp(s->mode, "owner-hydrating") == 0 ||
               strcmp(s->mode, "failback") == 0;
    s->generation = s->mirror ? (uint64_t)json_integer_value(generation) : 0;
    r = parse_disks(json_object_get(j, "disks"), s);
    if (r == 0)
        r = parse_retained(json_object_get(j, "retained"), s);
    return r == 0 ? parse_drafts(json_object_get(j, "drafts"), s) : r;
}

static int from_json(const json_t *j, struct vm_state **ret_state, struct error **err)
{
    _cleanup_free_ char *text = json_dumps(j, JSON_INDENT(2));
    struct vm_state *s = mem_new(1, sizeof(*s));

    s->text = str_format("%s\n", text ? text : "{}");
    if (!json_is_object(j) || parse(j, s) < 0) {
        vm_state_free(s);
        return nonsense(err);
    }
    *ret_state = s;
    return 0;
}

int vm_state_parse(const char *json, struct vm_state **ret_state, struct error **err)
{
    json_t *j = json_loads(json, 0, NULL);
    int r = j ? from_json(j, ret_state, err) : nonsense(err);

    json_decref(j);
    return r;
}

/* A store without an engine. */
static void at_rest(struct vm_state **ret_state)
{
    struct vm_state *s = mem_new(1, sizeof(*s));

    s->text = str_dup("{\n  \"running\": false\n}\n");
    s->mode = str_dup("");
    s->snapshot = str_dup("");
    *ret_state = s;
}

int vm_state_get(const char *store, struct vm_state **ret_state, struct error **err)
{
    _cleanup_free_ char *super = str_format("%s/super", store);
    _cleanup_free_ char *socket = str_format("%s/" CONTROL_SOCKET_NAME, store);
    _cleanup_control_ struct control *control = NULL;
    json_t *j = NULL;
    int r;

    if (access(super, F_OK) < 0)
        return error_set(err, ENOENT, "%s is no store", store);
    if (control_connect(socket, &control, NULL) < 0 ||
        control_call(control, "status", NULL, NULL, NULL, &j, NULL) < 0) {
        at_rest(ret_state);
        return 0;
    }
    r = from_json(j, ret_state, err);
    json_decref(j);
    return r;
}

char *vm_digest(const char *store, const char *disk, uint64_t generation)
{
    _cleanup_free_ char *socket = str_format("%s/" CONTROL_SOCKET_NAME, store);
    _cleanup_control_ struct control *control = NULL;
    json_t *args, *j = NULL;
    char *digest = NULL;

    if (control_connect(socket, &control, NULL) < 0)
        return NULL;
    args = json_pack("{s:s, s:I}", "disk", disk, "generation", (json_int_t)generation);
    if (control_call(control, "digest", args, NULL, NULL, &j, NULL) == 0)
        digest = str_dup(text_of(j, "digest"));
    json_decref(args);
    json_decref(j);
    return digest;
}

void vm_state_free(struct vm_state *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->disk_count; i++)
        free(s->disks[i].name);
    for (size_t i = 0; i < s->draft_count; i++)
        free(s->drafts[i]);
    free(s->disks);
    free(s->drafts);
    free(s->retained);
    free(s->mode);
    free(s->snapshot);
    free(s->text);
    free(s);
}

const struct vm_disk *vm_state_disk(const struct vm_state *s, const char *name)
{
    for (size_t i = 0; i < s->disk_count; i++)
        if (strcmp(s->disks[i].name, name) == 0)
            return &s->disks[i];
    return NULL;
}

bool vm_state_retains(const struct vm_state *s, uint64_t generation)
{
    for (size_t i = 0; i < s->retained_count; i++)
        if (s->retained[i] == generation)
            return true;
    return false;
}

bool vm_state_has_draft(const struct vm_state *s, const char *name)
{
    for (size_t i = 0; i < s->draft_count; i++)
        if (strcmp(s->drafts[i], name) == 0)
            return true;
    return false;
}
