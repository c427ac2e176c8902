/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define STORES_DEFAULT "/var/lib/slipway/stores"
#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S 3600

void fs_options_usage(void)
{
    puts("usage: slipwayfs [OPTIONS] [STORES] MOUNTPOINT\n"
         "Every VM's disks as files, at any generation that is retained.\n"
         "\n"
         "  STORES            folder with the VMs' stores (default " STORES_DEFAULT ")\n"
         "  --state DIR       state directory of slipwayd: STORES is DIR/stores\n"
         "  --wait SECONDS    how long requests wait for an engine that is away (default 60)\n"
         "  --allow-other     not only for the user who mounts: for the group slipway as well\n"
         "  -f, --foreground  stay, and log to standard error\n"
         "  -o OPTIONS        as mount(8) gives them: state=, wait=, allow_other, nonempty, and\n"
         "                    what libfuse and the kernel know\n"
         "  --version         versions, and what libfuse and the kernel allow\n"
         "  --help\n"
         "\n"
         "slipwayfs(8) has the details.");
}

static int parse_wait(const char *text, struct fs_options *o, struct error **err)
{
    char *end;
    double seconds = strtod(text, &end);

    if (!*text || *end || !(seconds >= 0 && seconds <= WAIT_MAX_S))
        return error_set(err, EINVAL, "--wait takes 0 to %d seconds, not '%s'", WAIT_MAX_S, text);
    o->wait_ns = (uint64_t)(seconds * (double)NS_PER_S);
    return 0;
}

static void add_mount_option(struct fs_options *o, const char *option)
{
    char *both = str_format("%s%s%s", o->mount_options, *o->mount_options ? "," : "", option);

    free(o->mount_options);
    o->mount_options = both;
}

static void use_state(struct fs_options *o, const char *folder)
{
    free(o->stores);
    o->stores = str_format("%s/stores", folder);
}

static int parse_mount_option(char *option, struct fs_options *o, struct error **err)
{
    if (str_starts(option, "state="))
        use_state(o, option + strlen("state="));
    else if (str_starts(option, "wait="))
        return parse_wait(option + strlen("wait="), o, err);
    else if (strcmp(option, "allow_other") == 0)
        o->allow_other = true;
    else if (strcmp(option, "nonempty") == 0)
        o->nonempty = true;
    else if (strcmp(option, "rw") != 0 && *option)
        add_mount_option(o, option);
    return 0;
}

static int parse_mount_options(const char *text, struct fs_options *o, struct error **err)
{
    _cleanup_free_ char *copy = str_dup(text);
    char *rest = copy, *option;
    int r = 0;

    while (r == 0 && (option = strsep(&rest, ",")))
        r = parse_mount_option(option, o, err);
    return r;
}

static int parse_option(int c, const char *word, struct fs_options *o, struct error **err)
{
    switch (c) {
    case 's':
        use_state(o, optarg);
        return 0;
    case 'w':
        return parse_wait(optarg, o, err);
    case 'o':
        return parse_mount_options(optarg, o, err);
    case 'a':
        o->allow_other = true;
        return 0;
    case 'f':
        o->foreground = true;
        return 0;
    case 'd':
        o->foreground = o->debug = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    case 'V':
        o->version = true;
        return 0;
    default:
        return error_set(err, EINVAL, "there is no option '%s', or it lacks its value; see "
                                      "'slipwayfs --help'", word);
    }
}

static int parse_words(int argc, char **argv, struct fs_options *o, struct error **err)
{
    int words = argc - optind;

    if (o->help || o->version)
        return 0;
    if (words < 1 || words > 2)
        return error_set(err, EINVAL, "slipwayfs takes a MOUNTPOINT, and the folder of STORES "
                                      "before it if that is another; see 'slipwayfs --help'");
    if (words == 2) {
        free(o->stores);
        o->stores = str_dup(argv[optind]);
    }
    o->mountpoint = str_dup(argv[argc - 1]);
    return 0;
}

int fs_options_parse(int argc, char **argv, struct fs_options *ret, struct error **err)
{
    static const struct option long_options[] = {
        {"state", required_argument, NULL, 's'}, {"wait", required_argument, NULL, 'w'},
        {"allow-other", no_argument, NULL, 'a'}, {"foreground", no_argument, NULL, 'f'},
        {"debug", no_argument, NULL, 'd'},       {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},     {0},
    };
    struct fs_options o = {.stores = str_dup(STORES_DEFAULT), .mount_options = str_dup(""),
                           .wait_ns = WAIT_DEFAULT_S * NS_PER_S};
    int r = 0, c;

    optind = 1;
    opterr = 0; /* we say it ourselves */
    while (r == 0 && (c = getopt_long(argc, argv, "fdho:V", long_options, NULL)) >= 0)
        r = parse_option(c, argv[optind - 1], &o, err);
    if (r == 0)
        r = parse_words(argc, argv, &o, err);
    if (r < 0) {
        fs_options_done(&o);
        return r;
    }
    *ret = o;
    return 0;
}

void fs_options_done(struct fs_options *o)
{
    free(o->stores);
    free(o->mountpoint);
    free(o->mount_options);
    *o = (struct fs_options){0};
}
