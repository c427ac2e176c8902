/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/options.h"

#include <getopt.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netconfig.h"

const char options_help[] =
    "usage: slipway-morph --disk URI-or-FILE [--disk ...] [options]\n"
    "\n"
    "Changes a Debian guest on these disks so that it boots on KVM with virtio.\n"
    "\n"
    "  --disk URI-or-FILE     a disk of the VM: nbd+unix:///EXPORT?socket=PATH,\n"
    "                         nbd://HOST[:PORT]/EXPORT or a raw image; repeat in the VM's order\n"
    "  --nic MAC[=NAME]       a network card, and the name it had in the source when known\n"
    "  --root DEVICE          the root filesystem (/dev/sda1, /dev/vg0/root) when there are more\n"
    "  --dry-run              print what would be done and write nothing\n"
    "  --json                 progress as JSON lines on standard error, result on standard output\n"
    "  --accel auto|kvm|tcg   how the appliance runs; auto: kvm where it works\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0 the guest is ready; 1 failed after changes may have begun, drop the draft;\n"
    "2 wrong use; 20 refused or failed with nothing changed\n";

enum { OPT_DISK = 256, OPT_NIC, OPT_ROOT, OPT_DRY_RUN, OPT_JSON, OPT_ACCEL, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    {"disk", required_argument, NULL, OPT_DISK},
    {"nic", required_argument, NULL, OPT_NIC},
    {"root", required_argument, NULL, OPT_ROOT},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"json", no_argument, NULL, OPT_JSON},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int add_disk(struct options *o, const char *text, struct error **err)
{
    struct disk_spec *disks = reallocarray(o->disks, o->disk_count + 1, sizeof(*disks));
    int r;

    if (!disks)
        abort();
    o->disks = disks;
    r = disk_spec_parse(text, &disks[o->disk_count], err);
    if (r == 0)
        o->disk_count++;
    return r;
}

static int add_nic(struct options *o, const char *text, struct error **err)
{
    struct nic *nics = reallocarray(o->nics, o->nic_count + 1, sizeof(*nics));
    size_t length = strcspn(text, "=");
    const char *name = text[length] ? text + length + 1 : NULL;
    struct nic *nic;

    if (!nics)
        abort();
    o->nics = nics;
    nic = &nics[o->nic_count];
    *nic = (struct nic){0};
    if (!mac_parse(text, length, nic->mac))
        return error_set(err, EINVAL, "--nic '%s': give a MAC address like 52:54:00:12:34:56",
                         text);
    if (name && !netname_is_valid(name, strlen(name)))
        return error_set(err, EINVAL, "--nic '%s': '%s' cannot be the name of a network card", text,
                         name);
    for (size_t i = 0; i < o->nic_count; i++)
        if (strcmp(nics[i].mac, nic->mac) == 0 ||
            (name && nics[i].name && strcmp(nics[i].name, name) == 0))
            return error_set(err, EINVAL, "--nic '%s': the MAC address or name is given twice",
                             text);
    nic->name = str_dup(name);
    o->nic_count++;
    return 0;
}

static int set_accel(struct options *o, const char *text, struct error **err)
{
    static const char *const names[] = {"auto", "kvm", "tcg"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            o->accel = names[i];
            return 0;
        }
    }
    return error_set(err, EINVAL, "--accel '%s': choose auto, kvm or tcg", text);
}

static int set_option(struct options *o, int option, struct error **err)
{
    switch (option) {
    case OPT_DISK:
        return add_disk(o, optarg, err);
    case OPT_NIC:
        return add_nic(o, optarg, err);
    case OPT_ROOT:
        o->root = optarg;
        return 0;
    case OPT_DRY_RUN:
        o->dry_run = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case OPT_ACCEL:
        return set_accel(o, optarg, err);
    case OPT_HELP:
        o->help = true;
        return 0;
    case OPT_VERSION:
        o->version = true;
        return 0;
    default:
        return error_set(err, EINVAL, "unknown option or missing argument; see --help");
    }
}

int options_parse(int argc, char **argv, struct options *ret_options, struct error **err)
{
    const char *cache = getenv("SLIPWAY_CACHE");
    int option, r = 0;

    *ret_options = (struct options){.accel = "auto"};
    ret_options->default_cache_dir =
        str_format("%s/guestfs", cache && *cache ? cache : "/var/cache/slipway");
    ret_options->cache_dir = ret_options->default_cache_dir;
    optind = 1;
    opterr = 0;
    while (r == 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
        r = set_option(ret_options, option, err);
    if (r < 0 || ret_options->help || ret_options->version)
        return r;
    if (optind < argc)
        return error_set(err, EINVAL, "'%s' is no option; disks are given with --disk",
                         argv[optind]);
    if (ret_options->disk_count == 0)
        return error_set(err, EINVAL, "no --disk was given; see --help");
    if (ret_options->root && *ret_options->root != '/')
        return error_set(err, EINVAL, "--root '%s': give a device like /dev/sda1",
                         ret_options->root);
    return 0;
}

void options_done(struct options *options)
{
    for (size_t i = 0; i < options->disk_count; i++)
        disk_spec_done(&options->disks[i]);
    for (size_t i = 0; i < options->nic_count; i++)
        free(options->nics[i].name);
    free(options->disks);
    free(options->nics);
    free(options->default_cache_dir);
    *options = (struct options){0};
}
