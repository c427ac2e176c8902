/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/options.h"

#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/hostfile.h"
#include "morph/keys.h"
#include "morph/netconfig.h"

const char options_help[] =
    "usage: slipway-morph --disk URI-or-FILE [--disk ...] [options]\n"
    "\n"
    "Changes a Debian guest on these disks so that it boots on KVM with virtio.\n"
    "\n"
    "  --disk URI-or-FILE     a disk of the VM: nbd+unix:///EXPORT?socket=PATH,\n"
    "                         nbd://HOST[:PORT]/EXPORT or a raw image; repeat in the VM's order\n"
    "  --nic MAC[=NAME]       a network card, and the name it had in the source when known\n"
    "  --root DEVICE          the root filesystem (/dev/sda1, /dev/vg0/root, UUID=..., LABEL=...)\n"
    "                         when there are more\n"
    "  --key [DEVICE=]FILE    a key file or passphrase of encrypted volumes; may repeat\n"
    "  --dhcp                 fixed addresses become DHCP\n"
    "  --no-serial            do not give the guest a serial console\n"
    "  --rebuild auto|never|always\n"
    "                         whether the guest's own program makes its initramfs, inside the\n"
    "                         appliance; auto: where the drivers cannot be added otherwise\n"
    "  --ssh-key USER=FILE    add the public keys in FILE to the guest's user; repeat as needed\n"
    "  --drop-credentials     lock the passwords of the guest's users\n"
    "  --packages DIR         packages of the guest's system with the QEMU guest agent, which the\n"
    "                         guest installs at its first boot\n"
    "  --install-agent        the guest installs the agent from its own package sources then\n"
    "  --script-pre FILE      a script to run in the appliance with the guest's root as its root,\n"
    "                         before the changes; --script-post FILE: after them; repeatable\n"
    "  --script-firstboot FILE\n"
    "                         a script that the guest runs at its first boot; repeat as needed\n"
    "  --virtio-win DIR-or-ISO\n"
    "                         drivers for Windows; default: /usr/share/virtio-win\n"
    "  --windows-engine auto|own|virt-v2v\n"
    "                         who changes Windows; auto: virt-v2v-in-place where it can\n"
    "  --dry-run              print what would be done and write nothing\n"
    "  --wait                 start the appliance, then wait for the line 'go' on standard input\n"
    "  --record DIR           keep what was done, for a later run with --replay\n"
    "  --replay DIR           do what was recorded there, if the guest still is as it was then\n"
    "  --json                 progress as JSON lines on standard error, result on standard output\n"
    "  --accel auto|kvm|tcg   how the appliance runs; auto: kvm where it works\n"
    "  --check                look at the options, and the files they name, and end\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0 the guest is ready; 1 failed after changes may have begun, drop the draft;\n"
    "2 wrong use; 20 refused or failed with nothing changed\n";

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
    struct request *q = &o->request;
    struct nic *nics = reallocarray(q->nics, q->nic_count + 1, sizeof(*nics));
    size_t length = strcspn(text, "=");
    const char *name = text[length] ? text + length + 1 : NULL;
    struct nic *nic;

    if (!nics)
        abort();
    q->nics = nics;
    nic = &nics[q->nic_count];
    *nic = (struct nic){0};
    if (!mac_parse(text, length, nic->mac))
        return error_set(err, EINVAL, "--nic '%s': give a MAC address like 52:54:00:12:34:56",
                         text);
    if (name && !netname_is_valid(name, strlen(name)))
        return error_set(err, EINVAL, "--nic '%s': '%s' cannot be the name of a network card", text,
                         name);
    for (size_t i = 0; i < q->nic_count; i++)
        if (strcmp(nics[i].mac, nic->mac) == 0 ||
            (name && nics[i].name && strcmp(nics[i].name, name) == 0))
            return error_set(err, EINVAL, "--nic '%s': the MAC address or name is given twice",
                             text);
    nic->name = str_dup(name);
    q->nic_count++;
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

static int set_root(struct options *o, const char *text, struct error **err)
{
    if (!str_starts(text, "/dev/") && !str_starts(text, "UUID=") && !str_starts(text, "LABEL=") &&
        !str_starts(text, "PARTUUID="))
        return error_set(err, EINVAL,
                         "--root '%s': give a device like /dev/sda1, UUID=... or LABEL=...", text);
    o->request.root = text;
    return 0;
}

static int set_dhcp(struct options *o, const char *text, struct error **err)
{
    o->request.dhcp = true;
    return 0;
}

static void words_add(struct words *words, const char *text)
{
    char **items = reallocarray(words->items, words->count + 1, sizeof(*items));

    if (!items)
        abort();
    words->items = items;
    items[words->count++] = str_dup(text);
}

static void words_done(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
}

static int add_key(struct options *o, const char *text, struct error **err)
{
    struct key key;
    int r = key_parse(text, &key);

    if (r < 0)
        return error_set(err, EINVAL, "--key '%s': give FILE or DEVICE=FILE", text);
    free(key.device);
    free(key.file);
    words_add(&o->request.keys, text);
    return 0;
}

static int set_no_serial(struct options *o, const char *text, struct error **err)
{
    o->request.no_serial = true;
    return 0;
}

static int set_rebuild(struct options *o, const char *text, struct error **err)
{
    static const char *const names[] = {"auto", "never", "always"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            o->request.rebuild = (enum rebuild)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--rebuild '%s': choose auto, never or always", text);
}

static int add_ssh_key(struct options *o, const char *text, struct error **err)
{
    return hostfiles_add_keys(&o->request.ssh_keys, text, err);
}

static int set_packages(struct options *o, const char *text, struct error **err)
{
    struct stat st;

    if (stat(text, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_set(err, EINVAL, "--packages '%s': this is no directory", text);
    o->request.packages = text;
    return 0;
}

static int set_install_agent(struct options *o, const char *text, struct error **err)
{
    o->request.install_agent = true;
    return 0;
}

static int add_script_firstboot(struct options *o, const char *text, struct error **err)
{
    return hostfiles_add_script(&o->request.script_firstboot, "script-firstboot", text, err);
}

static int add_script_pre(struct options *o, const char *text, struct error **err)
{
    return hostfiles_add_script(&o->request.script_pre, "script-pre", text, err);
}

static int add_script_post(struct options *o, const char *text, struct error **err)
{
    return hostfiles_add_script(&o->request.script_post, "script-post", text, err);
}

static int set_drop_credentials(struct options *o, const char *text, struct error **err)
{
    o->request.drop_credentials = true;
    return 0;
}

static int set_virtio_win(struct options *o, const char *text, struct error **err)
{
    o->request.virtio_win = text;
    return 0;
}

static int set_windows_engine(struct options *o, const char *text, struct error **err)
{
    static const char *const names[] = {"auto", "own", "virt-v2v"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            o->request.windows_engine = (enum windows_engine)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--windows-engine '%s': choose auto, own or virt-v2v", text);
}

static int set_dry_run(struct options *o, const char *text, struct error **err)
{
    o->dry_run = true;
    return 0;
}

static int set_record(struct options *o, const char *text, struct error **err)
{
    o->record = text;
    return 0;
}

static int set_replay(struct options *o, const char *text, struct error **err)
{
    o->replay = text;
    return 0;
}

static int set_check(struct options *o, const char *text, struct error **err)
{
    o->check = true;
    return 0;
}

static int set_wait(struct options *o, const char *text, struct error **err)
{
    o->wait = true;
    return 0;
}

static int set_json(struct options *o, const char *text, struct error **err)
{
    o->json = true;
    return 0;
}

static int set_help(struct options *o, const char *text, struct error **err)
{
    o->help = true;
    return 0;
}

static int set_version(struct options *o, const char *text, struct error **err)
{
    o->version = true;
    return 0;
}

/* In the order of --help.  `value` says what the argument is; NULL: there is none. */
static const struct {
    const char *name, *value;
    int (*set)(struct options *o, const char *text, struct error **err);
} known[] = {
    {"disk", "URI-or-FILE", add_disk},
    {"nic", "MAC[=NAME]", add_nic},
    {"root", "DEVICE", set_root},
    {"dhcp", NULL, set_dhcp},
    {"rebuild", "auto|never|always", set_rebuild},
    {"key", "[DEVICE=]FILE", add_key},
    {"no-serial", NULL, set_no_serial},
    {"ssh-key", "USER=FILE", add_ssh_key},
    {"drop-credentials", NULL, set_drop_credentials},
    {"packages", "DIR", set_packages},
    {"install-agent", NULL, set_install_agent},
    {"script-pre", "FILE", add_script_pre},
    {"script-post", "FILE", add_script_post},
    {"script-firstboot", "FILE", add_script_firstboot},
    {"virtio-win", "DIR-or-ISO", set_virtio_win},
    {"windows-engine", "auto|own|virt-v2v", set_windows_engine},
    {"dry-run", NULL, set_dry_run},
    {"wait", NULL, set_wait},
    {"record", "DIR", set_record},
    {"replay", "DIR", set_replay},
    {"json", NULL, set_json},
    {"accel", "auto|kvm|tcg", set_accel},
    {"check", NULL, set_check},
    {"help", NULL, set_help},
    {"version", NULL, set_version},
};

#define OPTION_BASE 256

static int parse_all(int argc, char **argv, struct options *o, struct error **err)
{
    struct option table[ARRAY_SIZE(known) + 1] = {{0}};
    int number, r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        table[i] = (struct option){.name = known[i].name,
                                   .has_arg = known[i].value ? required_argument : no_argument,
                                   .val = OPTION_BASE + (int)i};
    optind = 1;
    opterr = 0;
    while (r == 0 && (number = getopt_long(argc, argv, "", table, NULL)) >= 0) {
        if (number < OPTION_BASE)
            return error_set(err, EINVAL,
                             "'%s': unknown option or missing argument; see --help",
                             argv[optind - 1]);
        r = known[number - OPTION_BASE].set(o, optarg, err);
    }
    return r;
}

int options_parse(int argc, char **argv, struct options *ret_options, struct error **err)
{
    const char *cache = getenv("SLIPWAY_CACHE");
    int r;

    *ret_options = (struct options){.accel = "auto"};
    ret_options->default_cache_dir =
        str_format("%s/guestfs", cache && *cache ? cache : "/var/cache/slipway");
    ret_options->cache_dir = ret_options->default_cache_dir;
    r = parse_all(argc, argv, ret_options, err);
    if (r < 0 || ret_options->help || ret_options->version)
        return r;
    if (optind < argc)
        return error_set(err, EINVAL, "'%s' is no option; disks are given with --disk",
                         argv[optind]);
    if (ret_options->disk_count == 0 && !ret_options->check)
        return error_set(err, EINVAL, "no --disk was given; see --help");
    return 0;
}

void options_done(struct options *options)
{
    for (size_t i = 0; i < options->disk_count; i++)
        disk_spec_done(&options->disks[i]);
    for (size_t i = 0; i < options->request.nic_count; i++)
        free(options->request.nics[i].name);
    hostfiles_done(&options->request.ssh_keys);
    hostfiles_done(&options->request.script_firstboot);
    hostfiles_done(&options->request.script_pre);
    hostfiles_done(&options->request.script_post);
    free(options->disks);
    free(options->request.nics);
    words_done(&options->request.keys);
    free(options->default_cache_dir);
    *options = (struct options){0};
}
