/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "orchestrator/cli/engine.h"

const char engine_usage[] =
    "Usage: slipway engine VERB STORE [OPTION...]\n"
    "\n"
    "  create STORE --disk NAME=TARGET[:SIZE]... [--name VM] [--preseed]\n"
    "                                         make a store for a VM's disks\n"
    "  serve STORE [--nbd-socket PATH] [--live DIR] [--source-wait SECONDS] [--accept-loss]\n"
    "                                         run the engine in the foreground (NBD and control)\n"
    "  sync STORE NAME=NBD-URI... [--bitmap NAME=CONTEXT]... [--snapshot ID]\n"
    "                        [--compare [--bytes]] [--connections N]\n"
    "                                         bring all disks to the source's point in time\n"
    "  status STORE                           mode, generation, disks, what is going on\n"
    "  cancel STORE                           stop the running sync; it can be resumed\n"
    "  draft create STORE NAME [--generation N]   a writable layer over a generation\n"
    "  draft list STORE                       the drafts there are\n"
    "  draft seal|drop STORE NAME             make it the next generation, or forget it\n"
    "  load begin STORE [--snapshot ID]       NBD clients write the disks to DISK+load\n"
    "  load commit|abandon STORE [--grace SECONDS]   make a generation of it, or forget it\n"
    "  set STORE [--keep N] [--space-budget BYTES] [--when-full wait|revoke]\n"
    "                                         how many old generations stay; shows it\n"
    "  diff STORE [A [B]] [--disk NAME] [-v|--extents] [--fast] [--files]\n"
    "                                         what changed from generation A to B; also files\n"
    "  flip STORE [--grace SECONDS] [--generation N] [--token TEXT]\n"
    "                                         from mirror (read-only) to owner (read-write)\n"
    "  flip STORE --instant NAME=NBD-URI... --snapshot ID [--bitmap NAME=CONTEXT]...\n"
    "                        [--since ID] [--token TEXT]\n"
    "                                         the same at once; fetch what is missing meanwhile\n"
    "  source STORE NAME=NBD-URI...           another place of the source that is still needed\n"
    "  source-lost STORE                      it is gone: fail what waits for it\n"
    "  detach STORE [--grace SECONDS] [--token TEXT]   let go of the targets\n"
    "  failback STORE NAME=NBD-URI... [--bitmap NAME=CONTEXT]... [--check bitmap|digest|none]\n"
    "                        [--final] [--grace SECONDS]   send back what the VM has written\n"
    "  limit STORE [--disk NAME] [--source-rate RATE] [--source-iops N] [--target-rate RATE]\n"
    "                        [--target-iops N]    how fast background work may go; shows it\n"
    "  stop STORE                             end the engine\n"
    "  verify STORE NAME=NBD-URI... [--sample PERCENT] [--bytes] [--repair]\n"
    "                                         compare with the source, fetch what differs\n"
    "  manifest STORE [--key PEM] [--output FILE]   hashes of all disks, signed\n"
    "  manifest-key FILE                      make a key to sign with: FILE, and FILE.pub\n"
    "  verify-manifest FILE [--public-key PEM] [--disk NAME=PATH]...   check one, and disks by it\n"
    "  fsck STORE [--data]                    check a store at rest; changes nothing\n"
    "\n"
    "  --json     the result as JSON on standard output (sync, flip: progress as JSON lines\n"
    "             on standard error)\n"
    "  --help     this text\n"
    "\n"
    "SIZE and RATE (bytes per second) take K, M, G, T; a limit of 0 is none.\n"
    "Without a running engine a verb starts one for its own duration.\n";

enum {
    OPT_DISK = 256,
    OPT_NAME,
    OPT_SOCKET,
    OPT_BITMAP,
    OPT_SNAPSHOT,
    OPT_COMPARE,
    OPT_BYTES,
    OPT_PRESEED,
    OPT_REPAIR,
    OPT_CONNECTIONS,
    OPT_GRACE,
    OPT_GENERATION,
    OPT_KEEP,
    OPT_BUDGET,
    OPT_WHEN_FULL,
    OPT_EXTENTS,
    OPT_FAST,
    OPT_FILES,
    OPT_DATA,
    OPT_KEY,
    OPT_OUTPUT,
    OPT_PUBLIC_KEY,
    OPT_SAMPLE,
    OPT_FINAL,
    OPT_CHECK,
    OPT_SOURCE_RATE,
    OPT_SOURCE_IOPS,
    OPT_TARGET_RATE,
    OPT_TARGET_IOPS,
    OPT_INSTANT,
    OPT_SINCE,
    OPT_TOKEN,
    OPT_ACCEPT_LOSS,
    OPT_LIVE,
    OPT_SOURCE_WAIT,
    OPT_JSON,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"disk", required_argument, NULL, OPT_DISK},
    {"name", required_argument, NULL, OPT_NAME},
    {"nbd-socket", required_argument, NULL, OPT_SOCKET},
    {"bitmap", required_argument, NULL, OPT_BITMAP},
    {"snapshot", required_argument, NULL, OPT_SNAPSHOT},
    {"compare", no_argument, NULL, OPT_COMPARE},
    {"bytes", no_argument, NULL, OPT_BYTES},
    {"repair", no_argument, NULL, OPT_REPAIR},
    {"preseed", no_argument, NULL, OPT_PRESEED},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"generation", required_argument, NULL, OPT_GENERATION},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"space-budget", required_argument, NULL, OPT_BUDGET},
    {"when-full", required_argument, NULL, OPT_WHEN_FULL},
    {"sample", required_argument, NULL, OPT_SAMPLE},
    {"key", required_argument, NULL, OPT_KEY},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"public-key", required_argument, NULL, OPT_PUBLIC_KEY},
    {"final", no_argument, NULL, OPT_FINAL},
    {"check", required_argument, NULL, OPT_CHECK},
    {"source-rate", required_argument, NULL, OPT_SOURCE_RATE},
    {"source-iops", required_argument, NULL, OPT_SOURCE_IOPS},
    {"target-rate", required_argument, NULL, OPT_TARGET_RATE},
    {"target-iops", required_argument, NULL, OPT_TARGET_IOPS},
    {"extents", no_argument, NULL, OPT_EXTENTS},
    {"fast", no_argument, NULL, OPT_FAST},
    {"files", no_argument, NULL, OPT_FILES},
    {"data", no_argument, NULL, OPT_DATA},
    {"instant", no_argument, NULL, OPT_INSTANT},
    {"since", required_argument, NULL, OPT_SINCE},
    {"token", required_argument, NULL, OPT_TOKEN},
    {"accept-loss", no_argument, NULL, OPT_ACCEPT_LOSS},
    {"live", required_argument, NULL, OPT_LIVE},
    {"source-wait", required_argument, NULL, OPT_SOURCE_WAIT},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static int add_pair(struct engine_pair *pairs, size_t *count, const char *text, const char *form,
                    struct error **err)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || !equals[1])
        return error_set(err, EINVAL, "'%s' is not of the form %s", text, form);
    if (*count == ENGINE_DISKS_MAX)
        return error_set(err, EINVAL, "a VM has at most %d disks", ENGINE_DISKS_MAX);
    pairs[*count].name = strndup(text, (size_t)(equals - text));
    pairs[*count].value = str_dup(equals + 1);
    (*count)++;
    return 0;
}

static int parse_connections(const char *text, long *ret_value, struct error **err)
{
    char *end;
    long v = strtol(text, &end, 10);

    if (end == text || *end || v < 1 || v > 16)
        return error_set(err, EINVAL, "--connections takes a whole number from 1 to 16, not '%s'",
                         text);
    *ret_value = v;
    return 0;
}

static int parse_number(const char *option, const char *text, double max, double *ret_value,
                        struct error **err)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || !(v >= 0) || v > max)
        return error_set(err, EINVAL, "%s takes a number from 0 to %.0f, not '%s'", option, max,
                         text);
    *ret_value = v;
    return 0;
}

static int parse_whole(const char *option, const char *text, long long max, long long *ret_value,
                       struct error **err)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < 0 || v > max)
        return error_set(err, EINVAL, "%s takes a whole number from 0 to %lld, not '%s'", option,
                         max, text);
    *ret_value = v;
    return 0;
}

static int take_option(struct engine_args *a, int option, const char *value, struct error **err)
{
    switch (option) {
    case OPT_DISK:
        if (strcmp(a->verb, "limit") == 0 || strcmp(a->verb, "diff") == 0) {
            a->one_disk = value;
            return 0;
        }
        return add_pair(a->disks, &a->disk_count, value, "NAME=TARGET[:SIZE]", err);
    case OPT_BITMAP:
        return add_pair(a->bitmaps, &a->bitmap_count, value, "NAME=CONTEXT", err);
    case OPT_NAME:
        a->vm_name = value;
        return 0;
    case OPT_SOCKET:
        a->socket = value;
        return 0;
    case OPT_SNAPSHOT:
        a->snapshot = value;
        return 0;
    case OPT_COMPARE:
        a->compare = true;
        return 0;
    case OPT_REPAIR:
        a->repair = true;
        return 0;
    case OPT_PRESEED:
        a->preseed = true;
        return 0;
    case OPT_BYTES:
        a->compare_bytes = true;
        return 0;
    case OPT_CONNECTIONS:
        return parse_connections(value, &a->connections, err);
    case OPT_GRACE:
        return parse_number("--grace", value, 86400, &a->grace_s, err);
    case OPT_KEEP:
        return parse_whole("--keep", value, ENGINE_KEEP_MAX, &a->keep, err);
    case OPT_BUDGET:
        a->has_budget = true;
        return strcmp(value, "unlimited") == 0 || str_to_bytes(value, &a->space_budget) == 0
                   ? 0
                   : error_set(err, EINVAL, "--space-budget takes a size such as 20G, or "
                                            "'unlimited', not '%s'", value);
    case OPT_WHEN_FULL:
        a->when_full = value;
        return strcmp(value, "wait") == 0 || strcmp(value, "revoke") == 0
                   ? 0
                   : error_set(err, EINVAL, "--when-full takes 'wait' or 'revoke', not '%s'",
                               value);
    case OPT_GENERATION:
        return parse_whole("--generation", value, LLONG_MAX, &a->generation, err);
    case OPT_SAMPLE:
        return parse_number("--sample", value, 100, &a->sample_percent, err);
    case OPT_KEY:
        a->key = value;
        return 0;
    case OPT_OUTPUT:
        a->output = value;
        return 0;
    case OPT_PUBLIC_KEY:
        a->public_key = value;
        return 0;
    case OPT_FINAL:
        a->final = true;
        return 0;
    case OPT_CHECK:
        a->check = value;
        return 0;
    case OPT_SOURCE_RATE:
        return engine_limit_parse(a, ENGINE_LIMIT_SOURCE_RATE, value, err);
    case OPT_SOURCE_IOPS:
        return engine_limit_parse(a, ENGINE_LIMIT_SOURCE_IOPS, value, err);
    case OPT_TARGET_RATE:
        return engine_limit_parse(a, ENGINE_LIMIT_TARGET_RATE, value, err);
    case OPT_TARGET_IOPS:
        return engine_limit_parse(a, ENGINE_LIMIT_TARGET_IOPS, value, err);
    case OPT_EXTENTS:
    case 'v':
        a->extents = true;
        return 0;
    case OPT_FAST:
        a->fast = true;
        return 0;
    case OPT_FILES:
        a->files = true;
        return 0;
    case OPT_DATA:
        a->data = true;
        return 0;
    case OPT_INSTANT:
        a->instant = true;
        return 0;
    case OPT_SINCE:
        a->since = value;
        return 0;
    case OPT_TOKEN:
        a->token = value;
        return 0;
    case OPT_ACCEPT_LOSS:
        a->accept_loss = true;
        return 0;
    case OPT_LIVE:
        a->live_folder = value;
        return 0;
    case OPT_SOURCE_WAIT:
        return parse_number("--source-wait", value, 3600, &a->source_wait_s, err);
    case OPT_JSON:
        a->json = true;
        return 0;
    case OPT_HELP:
        a->help = true;
        return 0;
    default:
        return error_set(err, EINVAL, "unknown or incomplete option; see 'slipway engine --help'");
    }
}

static int take_word(struct engine_args *a, const char *word, size_t position, struct error **err)
{
    bool draft = strcmp(a->verb, "draft") == 0;

    if (draft && position == 0) {
        a->verb = strcmp(word, "create") == 0 ? "draft-create"
                  : strcmp(word, "list") == 0 ? "draft-list"
                  : strcmp(word, "seal") == 0 ? "draft-seal"
                  : strcmp(word, "drop") == 0 ? "draft-drop"
                                              : NULL;
        return a->verb ? 0
                       : error_set(err, EINVAL, "draft takes create, list, seal or drop, not '%s'",
                                   word);
    }
    if (strcmp(a->verb, "load") == 0 && position == 0) {
        a->verb = strcmp(word, "begin") == 0     ? "load-begin"
                  : strcmp(word, "commit") == 0  ? "load-commit"
                  : strcmp(word, "abandon") == 0 ? "load-abandon"
                                                 : NULL;
        return a->verb ? 0 : error_set(err, EINVAL, "load takes begin, commit or abandon, not '%s'",
                                       word);
    }
    if (!a->store) {
        _cleanup_free_ char *here = getcwd(NULL, 0);
        size_t length;

        a->store = word[0] == '/' ? str_dup(word) : str_format("%s/%s", here ? here : "", word);
        for (length = strlen(a->store); length > 1 && a->store[length - 1] == '/'; length--)
            a->store[length - 1] = '\0';
        return 0;
    }
    if (str_starts(a->verb, "draft-") && strcmp(a->verb, "draft-list") != 0 && !a->draft_name) {
        a->draft_name = word;
        return 0;
    }
    if (strcmp(a->verb, "sync") == 0 || strcmp(a->verb, "verify") == 0 ||
        strcmp(a->verb, "flip") == 0 || strcmp(a->verb, "source") == 0 ||
        strcmp(a->verb, "failback") == 0)
        return add_pair(a->disks, &a->disk_count, word, "NAME=NBD-URI", err);
    if (strcmp(a->verb, "diff") == 0)
        return engine_diff_word(a, word, err);
    return error_set(err, EINVAL, "'%s' is one word too many; see 'slipway engine --help'", word);
}

int engine_args_parse(int argc, char **argv, struct engine_args *a, struct error **err)
{
    size_t position = 0;
    int option, r = 0;

    *a = (struct engine_args){.verb = argv[0], .grace_s = -1, .source_wait_s = -1,
                             .generation = -1, .keep = -1, .sample_percent = 100, .from = -1,
                             .to = -1};
    optind = 0;
    opterr = 0;
    while (r == 0 && (option = getopt_long(argc, argv, "-v", long_options, NULL)) != -1) {
        if (option == 1)
            r = take_word(a, optarg, position++, err);
        else
            r = take_option(a, option, optarg, err);
    }
    for (; r == 0 && optind < argc; optind++)
        r = take_word(a, argv[optind], position++, err);
    if (r == 0 && !a->help && !a->store)
        r = error_set(err, EINVAL, "the STORE is missing; see 'slipway engine --help'");
    if (r == 0 && !a->help && str_starts(a->verb, "draft") && !a->draft_name &&
        strcmp(a->verb, "draft-list") != 0)
        r = error_set(err, EINVAL, "usage: slipway engine draft create|seal|drop STORE NAME");
    return r;
}

static void free_pairs(struct engine_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
}

void engine_args_done(struct engine_args *a)
{
    free_pairs(a->disks, a->disk_count);
    free_pairs(a->bitmaps, a->bitmap_count);
    free(a->store);
}
