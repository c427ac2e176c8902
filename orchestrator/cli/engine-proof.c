/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine fsck, verify, manifest: is what is here what it should be? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/engine.h"
#include "orchestrator/enginehost.h"

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s ? s : "?";
}

/* Runs slipway-store with progress as sessions show it. */
static int run_tool(const struct engine_args *a, const char *const *words, json_t **ret_result,
                    struct error **err)
{
    struct session s = {.args = a};
    int r = engine_host_tool(words, session_event, &s, ret_result, err);

    session_event_end(&s);
    return r;
}

static void print_finding(const json_t *f)
{
    printf("%s: %s\n    %s\n    what to do: %s\n", text(f, "severity"), text(f, "thing"),
           text(f, "meaning"), text(f, "action"));
}

static void print_report(const struct engine_args *a, const json_t *report)
{
    const json_t *findings = json_object_get(report, "findings");
    size_t damages = 0, count = json_array_size(findings);
    char bytes[32];

    for (size_t i = 0; i < count; i++) {
        const json_t *f = json_array_get(findings, i);

        print_finding(f);
        damages += strcmp(text(f, "severity"), "damage") == 0;
    }
    if (a->data)
        printf("%s of bytes compared with their digests\n",
               str_from_bytes((uint64_t)json_integer_value(json_object_get(report,
                                                                          "checked_bytes")),
                              bytes, sizeof(bytes)));
    if (damages)
        printf("%s: damaged, %zu finding%s\n", a->store, damages, damages == 1 ? "" : "s");
    else
        printf("%s: sound, %zu note%s\n", a->store, count, count == 1 ? "" : "s");
}

int engine_verb_fsck(const struct engine_args *a, struct error **err)
{
    const char *words[] = {"fsck", a->store, a->data ? "--data" : NULL, NULL};
    json_t *report = NULL;
    bool sound;
    int r = run_tool(a, words, &report, err);

    if (r < 0)
        return r;
    sound = json_is_true(json_object_get(report, "sound"));
    if (a->json)
        session_print(report);
    else
        print_report(a, report);
    json_decref(report);
    return sound ? 0 : EXIT_CODE_DAMAGED;
}

/* ---- verify ---- */

static uint64_t bytes_of(const json_t *j, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(j, name));
}

static void print_verified(const json_t *d)
{
    const json_t *extents = json_object_get(d, "extents");
    size_t told = json_array_size(extents);
    char checked[32], differing[32], rotten[32];

    printf("  %-12s %s compared, %s differ", text(d, "disk"),
           str_from_bytes(bytes_of(d, "checked_bytes"), checked, sizeof(checked)),
           str_from_bytes(bytes_of(d, "differing_bytes"), differing, sizeof(differing)));
    if (bytes_of(d, "rotten_bytes") > 0)
        printf(", %s rotted here", str_from_bytes(bytes_of(d, "rotten_bytes"), rotten,
                                                  sizeof(rotten)));
    putchar('\n');
    for (size_t i = 0; i < told; i++) {
        const json_t *e = json_array_get(extents, i);

        printf("    bytes %" PRIu64 " to %" PRIu64 "\n", bytes_of(e, "offset"),
               bytes_of(e, "offset") + bytes_of(e, "length") - 1);
    }
    if (bytes_of(d, "differing_extents") > told)
        printf("    and %" PRIu64 " extents more\n", bytes_of(d, "differing_extents") - told);
}

static void print_verify(const json_t *result)
{
    const json_t *disks = json_object_get(result, "disks");

    printf("generation %" PRIu64 " (%s), %g %% of the blocks, %.1f s\n",
           bytes_of(result, "generation"), text(result, "snapshot"),
           json_number_value(json_object_get(result, "sample_percent")),
           json_number_value(json_object_get(result, "seconds")));
    for (size_t i = 0; i < json_array_size(disks); i++)
        print_verified(json_array_get(disks, i));
    if (json_is_object(json_object_get(result, "repaired")))
        printf("repaired: generation %" PRIu64 " holds what the source does\n",
               bytes_of(json_object_get(result, "repaired"), "generation"));
}

static void warn_differs(const struct engine_args *a, const json_t *result)
{
    if (json_is_object(json_object_get(result, "repaired")))
        fprintf(stderr, "slipway engine: %s differed from the source or from its digests; what "
                        "did was fetched again\n", a->store);
    else
        fprintf(stderr, "slipway engine: %s differs from the source or from its digests; if the "
                        "source serves the same point in time, 'slipway engine verify --repair' "
                        "fetches what does\n", a->store);
}

static json_t *verify_request(const struct engine_args *a)
{
    json_t *disks = json_array();

    for (size_t i = 0; i < a->disk_count; i++)
        json_array_append_new(disks, json_pack("{s:s, s:s}", "name", a->disks[i].name, "uri",
                                               a->disks[i].value));
    return json_pack("{s:o, s:f, s:b, s:b}", "disks", disks, "sample", a->sample_percent, "bytes",
                     a->compare_bytes, "repair", a->repair);
}

int engine_verb_verify(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    bool equal;
    int r = a->disk_count ? 0 : error_set(err, EINVAL, "verify needs NAME=NBD-URI for each disk "
                                                       "to compare");

    if (r == 0)
        r = session_open(&s, a, err);
    if (r < 0)
        return r;
    r = session_call(&s, "verify", verify_request(a), &result, err);
    equal = json_is_true(json_object_get(result, "equal"));
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_verify(result);
    if (r == 0 && !equal)
        warn_differs(a, result);
    json_decref(result);
    r = session_close(&s, r, err);
    return r < 0 || equal ? r : EXIT_CODE_FAILED;
}

/* ---- manifests ---- */

/* The engine has another current folder. */
static char *absolute(const char *path)
{
    _cleanup_free_ char *here = getcwd(NULL, 0);

    return path[0] == '/' ? str_dup(path) : str_format("%s/%s", here ? here : "", path);
}

static int write_manifest(const struct engine_args *a, json_t *manifest, struct error **err)
{
    _cleanup_free_ char *content = NULL;
    int r;

    if (!a->output) {
        session_print(manifest);
        return 0;
    }
    content = json_dumps(manifest, JSON_INDENT(2));
    r = content ? fdio_replace_file(a->output, content, strlen(content), 0644) : -ENOMEM;
    if (r < 0)
        return error_set_errno(err, -r, "cannot write the manifest %s", a->output);
    if (a->json)
        session_print(manifest);
    else
        printf("%s: manifest of generation %" PRIu64 "%s\n", a->output,
               bytes_of(manifest, "generation"), a->key ? ", signed" : ", not signed");
    return 0;
}

int engine_verb_manifest(const struct engine_args *a, struct error **err)
{
    _cleanup_free_ char *key = a->key ? absolute(a->key) : NULL;
    struct session s;
    json_t *manifest = NULL;
    int r = session_open(&s, a, err);

    if (r < 0)
        return r;
    r = session_call(&s, "manifest", key ? json_pack("{s:s}", "key", key) : json_object(),
                     &manifest, err);
    if (r == 0)
        r = write_manifest(a, manifest, err);
    json_decref(manifest);
    return session_close(&s, r, err);
}

int engine_verb_manifest_key(const struct engine_args *a, struct error **err)
{
    const char *words[] = {"manifest-key", a->store, NULL};
    json_t *result = NULL;
    int r = run_tool(a, words, &result, err);

    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        printf("%s: keep this one secret; give %s to whoever checks manifests\n",
               text(result, "key"), text(result, "public_key"));
    json_decref(result);
    return r;
}

static void print_checked(const struct engine_args *a, const json_t *result)
{
    const json_t *disks = json_object_get(result, "disks");
    const json_t *manifest = json_object_get(result, "manifest");

    printf("%s: VM %s, generation %" PRIu64 ", %s; %s\n", a->store, text(manifest, "vm"),
           bytes_of(manifest, "generation"), text(manifest, "time"),
           json_is_true(json_object_get(result, "trusted")) ? "signed with that key"
           : json_is_true(json_object_get(result, "signed"))
               ? "unchanged since it was signed; --public-key tells by whom"
               : "not signed");
    for (size_t i = 0; i < json_array_size(disks); i++) {
        const json_t *d = json_array_get(disks, i);

        printf("  %-12s %s %s\n", text(d, "disk"), text(d, "path"),
               json_is_true(json_object_get(d, "equal")) ? "holds what the manifest says"
                                                         : "DIFFERS from the manifest");
    }
}

int engine_verb_verify_manifest(const struct engine_args *a, struct error **err)
{
    const char *words[4 + ENGINE_DISKS_MAX] = {"verify-manifest", a->store,
                                               a->public_key ? a->public_key : ""};
    char *pairs[ENGINE_DISKS_MAX] = {0};
    json_t *result = NULL;
    bool equal;
    int r;

    for (size_t i = 0; i < a->disk_count; i++)
        words[3 + i] = pairs[i] = str_format("%s=%s", a->disks[i].name, a->disks[i].value);
    r = run_tool(a, words, &result, err);
    for (size_t i = 0; i < a->disk_count; i++)
        free(pairs[i]);
    equal = json_is_true(json_object_get(result, "equal"));
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_checked(a, result);
    json_decref(result);
    return r < 0 || equal ? r : EXIT_CODE_FAILED;
}
