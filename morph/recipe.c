/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/recipe.h"

#include <jansson.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "morph/sha256.h"

#define FORMAT 1
#define INDEX "recipe.json"
#define INDEX_MAX ((size_t)16 << 20)
#define MADE_MAX ((size_t)768 << 20)

static void json_free(json_t **j)
{
    json_decref(*j);
}
#define _cleanup_recipe_json_ _cleanup_(json_free)

static const char *word(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* ---- recording ---- */

static int record_made(const char *folder, const struct edit *e, size_t number,
                       const struct tree *tree, json_t *entry, struct error **err)
{
    _cleanup_free_ char *name = str_format("made-%zu", number);
    _cleanup_free_ char *path = str_format("%s/%s", folder, name), *data = NULL;
    size_t length;
    int r = tree_read(tree, e->path, MADE_MAX, &data, &length, err);

    if (r < 0)
        return r;
    r = fdio_replace_file(path, data, length, 0600);
    if (r < 0)
        return error_set_errno(err, -r, "cannot write %s", path);
    json_object_set_new(entry, "made", json_string(name));
    return 0;
}

static int record_edits(const char *folder, const struct plan *plan, const struct tree *tree,
                        json_t *edits, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->edit_count; i++) {
        const struct edit *e = &plan->edits[i];
        json_t *entry = json_pack("{s:s,s:s,s:s,s:s}", "kind", edit_kind_name(e->kind), "path",
                                  e->path, "before", e->before, "after", e->after);

        if (!entry)
            return error_set(err, EILSEQ, "the name of a changed file is not UTF-8");
        json_array_append_new(edits, entry);
        if (e->kind == EDIT_RUN)
            r = record_made(folder, e, i, tree, entry, err);
    }
    return r;
}

int recipe_record(const char *folder, const struct plan *plan, const struct tree *tree,
                  struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/" INDEX, folder), *text = NULL;
    json_t *edits = json_array();
    _cleanup_recipe_json_ json_t *recipe = json_pack("{s:i,s:o}", "format", FORMAT, "edits", edits);
    int r = fdio_make_dirs(folder, 0700);

    if (r < 0)
        return error_set_errno(err, -r, "cannot make the recipe's folder '%s'", folder);
    r = record_edits(folder, plan, tree, edits, err);
    if (r < 0)
        return r;
    text = json_dumps(recipe, JSON_INDENT(1));
    r = text ? fdio_replace_file(path, text, strlen(text), 0600) : -ENOMEM;
    return r < 0 ? error_set_errno(err, -r, "cannot write %s", path) : 0;
}

/* ---- replaying ---- */

static bool is_same(const struct edit *e, const json_t *entry)
{
    return strcmp(word(entry, "kind"), edit_kind_name(e->kind)) == 0 &&
           strcmp(word(entry, "path"), e->path) == 0 &&
           strcmp(word(entry, "before"), e->before) == 0 &&
           (e->kind == EDIT_RUN || strcmp(word(entry, "after"), e->after) == 0);
}

static bool fits(const json_t *edits, struct plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++) {
        if (is_same(&plan->edits[i], json_array_get(edits, i)))
            continue;
        plan_note(plan, "recipe",
                  "%s is not as it was in the rehearsal: what was recorded there is not used",
                  plan->edits[i].path);
        return false;
    }
    if (json_array_size(edits) == plan->edit_count)
        return true;
    plan_note(plan, "recipe", "less is to be done than in the rehearsal: what was recorded there "
                              "is not used");
    return false;
}

static bool read_made(const char *folder, const json_t *entry, char **ret_data, size_t *ret_length)
{
    const char *name = word(entry, "made");
    _cleanup_free_ char *path = str_format("%s/%s", folder, name);
    char hash[EDIT_HASH];

    if (!str_starts(name, "made-") || strchr(name, '/') ||
        fdio_read_file(path, MADE_MAX, ret_data, ret_length) < 0)
        return false;
    sha256_hex(*ret_data, *ret_length, NULL, 0, hash);
    return strcmp(hash, word(entry, "after")) == 0;
}

/* The bytes a program of the guest made in the rehearsal instead of the program. */
static void take_made(const char *folder, const json_t *entry, struct edit *e, struct plan *plan)
{
    _cleanup_free_ char *data = NULL;
    size_t length;

    if (!read_made(folder, entry, &data, &length)) {
        plan_warn(plan, "recipe",
                  "what the rehearsal made of %s is missing in %s or damaged: it is made again",
                  e->path, folder);
        return;
    }
    free(e->data);
    e->kind = EDIT_WRITE;
    if (*e->before) { /* the file is written in place and keeps its SELinux context */
        free(e->label);
        e->label = NULL;
    }
    e->data = steal_ptr(data);
    e->length = length;
    memcpy(e->after, word(entry, "after"), sizeof(e->after));
}

static json_t *read_index(const char *folder, struct plan *plan)
{
    _cleanup_free_ char *path = str_format("%s/" INDEX, folder), *text = NULL;
    json_t *recipe;
    int r = fdio_read_file(path, INDEX_MAX, &text, NULL);

    if (r == -ENOENT) {
        plan_note(plan, "recipe", "there is no recipe of a rehearsal in %s", folder);
        return NULL;
    }
    recipe = r < 0 ? NULL : json_loads(text, 0, NULL);
    if (json_integer_value(json_object_get(recipe, "format")) == FORMAT &&
        json_is_array(json_object_get(recipe, "edits")))
        return recipe;
    json_decref(recipe);
    plan_warn(plan, "recipe", "%s is no recipe of this version, or damaged: it is not used", path);
    return NULL;
}

bool recipe_replay(const char *folder, struct plan *plan)
{
    _cleanup_recipe_json_ json_t *recipe = read_index(folder, plan);
    const json_t *edits = json_object_get(recipe, "edits");

    if (!recipe || !fits(edits, plan))
        return false;
    for (size_t i = 0; i < plan->edit_count; i++)
        if (plan->edits[i].kind == EDIT_RUN)
            take_made(folder, json_array_get(edits, i), &plan->edits[i], plan);
    return true;
}
