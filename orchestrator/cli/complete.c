/* SPDX-License-Identifier: Apache-2.0 */
/* What bash offers next: slipway complete WORD…, the last of which is being written.  One candidate
 * a line; "@file" and "@folder" ask the shell for names of files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

#define PATIENCE_S 3 /* a key press must not hang on a slipwayd that does not answer */

struct completion {
    const struct cli_verb *verb;
    const char *socket;
    const char *current;
    int count; /* words before the current one */
    char *const *words;
};

static void offer(const struct completion *c, const char *word, size_t length)
{
    if (length >= strlen(c->current) && strncmp(word, c->current, strlen(c->current)) == 0)
        printf("%.*s\n", (int)length, word);
}

/* A name that the shell would have to quote is left to whoever types. */
static bool is_plain(const char *name)
{
    return *name && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789._-") == strlen(name);
}

static json_t *ask(const struct completion *c, const char *path)
{
    struct error *err = NULL;
    json_t *answer = NULL;

    if (client_call(c->socket, "GET", path, NULL, &answer, &err) < 0)
        error_free(err);
    return answer;
}

/* Names out of a list that slipwayd answers with. */
static void offer_names(const struct completion *c, const char *path, const char *list,
                        const char *prefix)
{
    _cleanup_json_ json_t *answer = ask(c, path);
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(answer, list), i, item) {
        const char *name = field_string(item, "name", "");
        _cleanup_free_ char *word = str_format("%s%s", prefix, name);

        if (is_plain(name))
            offer(c, word, strlen(word));
    }
}

static void offer_vms(const struct completion *c)
{
    const char *slash = strchr(c->current, '/');
    _cleanup_json_ json_t *answer = NULL;
    json_t *source;
    size_t i;

    if (slash) {
        _cleanup_free_ char *name = strndup(c->current, (size_t)(slash - c->current));
        _cleanup_free_ char *path = client_path("sources", name, "vms");
        _cleanup_free_ char *prefix = str_format("%s/", name);

        offer_names(c, path, "vms", prefix);
        return;
    }
    answer = ask(c, "/v1/sources");
    json_array_foreach(json_object_get(answer, "sources"), i, source) {
        _cleanup_free_ char *word = str_format("%s/", field_string(source, "name", ""));

        offer(c, word, strlen(word));
    }
}

static void offer_word(const struct completion *c, const char *word, size_t length)
{
    if (strncmp(word, "@migration", length) == 0)
        offer_names(c, "/v1/migrations", "migrations", "");
    else if (strncmp(word, "@source", length) == 0)
        offer_names(c, "/v1/sources", "sources", "");
    else if (strncmp(word, "@plan", length) == 0)
        offer_names(c, "/v1/plans", "plans", "");
    else if (strncmp(word, "@vm", length) == 0)
        offer_vms(c);
    else if (word[0] == '@') /* the shell's part */
        printf("%.*s\n", (int)length, word);
    else
        offer(c, word, length);
}

static void offer_list(const struct completion *c, const char *words)
{
    size_t length;

    for (; words && *words; words += length + strspn(words + length, " ")) {
        length = strcspn(words, " ");
        offer_word(c, words, length);
    }
}

static void offer_options(const struct completion *c)
{
    const struct cli_option *o;

    for (unsigned set = 0; (o = verb_options(c->verb, set)); set++)
        for (; o->name; o++) {
            _cleanup_free_ char *word = str_format("--%s", o->name);

            if (o->help)
                offer(c, word, strlen(word));
        }
}

/* The option whose value the current word is, or NULL. */
static const struct cli_option *option_before(const struct completion *c)
{
    const char *word = c->count > 0 ? c->words[c->count - 1] : "";
    const struct cli_option *o;

    if (!str_starts(word, "--"))
        return NULL;
    for (unsigned set = 0; (o = verb_options(c->verb, set)); set++)
        for (; o->name; o++)
            if (o->argument && strcmp(o->name, word + 2) == 0)
                return o;
    return NULL;
}

/* The first word of every verb, or the second ones behind `group`. */
static void offer_verbs(const struct completion *c, const char *group)
{
    const char *last = "";

    for (size_t i = 0; cli_verbs[i]; i++) {
        const char *name = cli_verbs[i]->name;
        size_t length = strcspn(name, " ");

        if (group && verb_belongs(cli_verbs[i], group) && name[length])
            offer(c, name + length + 1, strlen(name + length + 1));
        if (group)
            continue;
        if (strncmp(name, last, length) != 0 || last[length] != name[length])
            offer(c, name, length);
        last = name;
    }
}

static void find_socket(struct completion *c)
{
    const char *env = getenv("SLIPWAY_SOCKET");

    c->socket = env && *env ? env : SOCKET_DEFAULT;
    for (int i = 0; i + 1 < c->count; i++)
        if (strcmp(c->words[i], "--socket") == 0)
            c->socket = c->words[i + 1];
}

int cli_complete(int argc, char **argv)
{
    struct completion c = {.current = argc > 0 ? argv[argc - 1] : "",
                           .count = argc > 0 ? argc - 1 : 0,
                           .words = argv};
    const struct cli_option *option;
    int words = 0;

    alarm(PATIENCE_S);
    find_socket(&c);
    c.verb = verb_find(c.count, argv, &words);
    option = c.verb ? option_before(&c) : NULL;
    if (option)
        offer_list(&c, option->values);
    else if (c.verb && (c.current[0] == '-' || !c.verb->offers))
        offer_options(&c);
    else if (c.verb)
        offer_list(&c, c.verb->offers);
    else if (c.count == 0)
        offer_verbs(&c, NULL);
    else if (c.count == 1)
        offer_verbs(&c, argv[0]);
    if (c.count == 0 || (c.count == 1 && !c.verb))
        offer_list(&c, c.count == 0 ? "--help --version" : "--help");
    return EXIT_CODE_OK;
}
