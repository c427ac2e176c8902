/* SPDX-License-Identifier: Apache-2.0 */
/* virtio drivers in the initramfs of every family: what is appended, that it would be loaded, that
 * the guest's next rebuild keeps it, and that a second run has nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/cpio.h"
#include "morph/initramfs.h"
#include "morph/inspect.h"
#include "morph/plan.h"
#include "morph/unified.h"
#include "morph/wordlist.h"

#define LOADED "virtio_pci,virtio_blk,virtio_scsi,virtio_net,sd_mod"
#define NAMES "virtio_pci virtio_blk virtio_scsi virtio_net sd_mod"
#define LINES "virtio_pci\nvirtio_blk\nvirtio_scsi\nvirtio_net\nsd_mod\n"

static struct fake_tree guest;
static struct facts facts;
static struct request request;

/* What the last plan appended, to one file. */
static struct buffer listing; /* "name=content;" of regular files, "name/;" of directories */

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    request = (struct request){0};
    facts = (struct facts){.tree = fake_tree(&guest), .request = &request};
    facts.family = FAMILY_REDHAT;
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    buffer_done(&listing);
    return 0;
}

static void put(const char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *text, const char *fmt, ...)
{
    char path[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(path, sizeof(path), fmt, ap);
    va_end(ap);
    fake_text(&guest, path, text);
}

static void xz(const char *text, struct buffer *out)
{
    size_t length = strlen(text), bound = lzma_stream_buffer_bound(length), used = 0;
    uint8_t *data = mem_new(bound, 1);

    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, (const uint8_t *)text,
                                             length, data, &used, bound),
                     LZMA_OK);
    buffer_add(out, data, used);
    free(data);
}

/* A kernel's modules: each file holds "elf NAME".  suffix: "" or ".xz", for compressed ones. */
static void put_modules(const char *version, const char *suffix)
{
    static const char *const lines[][2] = {{"virtio", ""},
                                           {"virtio_ring", ""},
                                           {"virtio_pci", "virtio_ring virtio"},
                                           {"virtio_blk", "virtio_ring virtio"},
                                           {"virtio_net", "virtio_ring virtio"},
                                           {"virtio_scsi", "scsi_mod virtio_ring virtio"},
                                           {"scsi_mod", ""},
                                           {"sd_mod", "scsi_mod"},
                                           {"ahci", ""},
                                           {"ext4", ""}};
    _cleanup_buffer_ struct buffer dep = {0};

    for (size_t n = 0; n < ARRAY_SIZE(lines); n++) {
        _cleanup_free_ char *needs = str_dup(lines[n][1]),
                            *text = str_format("elf %s", lines[n][0]);
        _cleanup_free_ char *path =
            str_format("/lib/modules/%s/kernel/%s.ko%s", version, lines[n][0], suffix);
        _cleanup_buffer_ struct buffer packed = {0};
        char *rest = needs, *word;

        buffer_printf(&dep, "kernel/%s.ko%s:", lines[n][0], suffix);
        while ((word = strsep(&rest, " ")))
            if (*word)
                buffer_printf(&dep, " kernel/%s.ko%s", word, suffix);
        buffer_add_text(&dep, "\n");
        if (*suffix)
            xz(text, &packed);
        else
            buffer_add_text(&packed, text);
        fake_put(&guest, path, packed.data, packed.length);
    }
    put(dep.data, "/lib/modules/%s/modules.dep", version);
    put("alias virtio:d00000002v* virtio_blk\nalias pci:v00001AF4d* virtio_pci\n"
        "alias pci:v0000* ahci\n",
        "/lib/modules/%s/modules.alias", version);
    put("kernel/a/unix.ko\n", "/lib/modules/%s/modules.builtin", version);
}

static void put_kernel(const char *version, const char *suffix)
{
    put_modules(version, suffix);
    put("kernel", "/boot/vmlinuz-%s", version);
}

/* An initramfs: pairs of names (a name with '/' at its end is a directory) and contents. */
static void pack(const char *const (*files)[2], size_t count, bool gzipped, struct buffer *out)
{
    struct cpio_writer w = {0};
    z_stream z = {0};

    for (size_t n = 0; n < count; n++) {
        size_t length = strlen(files[n][0]);
        _cleanup_free_ char *name = str_dup(files[n][0]);

        if (name[length - 1] == '/') {
            name[length - 1] = '\0';
            cpio_add_directory(&w, name);
        } else {
            cpio_add_file(&w, name, files[n][1], strlen(files[n][1]));
        }
    }
    cpio_finish(&w);
    if (!gzipped) {
        buffer_add(out, w.out.data, w.out.length);
    } else {
        _cleanup_free_ char *data = mem_new(w.out.length + 1000, 1);

        z.next_in = (Bytef *)w.out.data;
        z.avail_in = (uInt)w.out.length;
        z.next_out = (Bytef *)data;
        z.avail_out = (uInt)w.out.length + 1000;
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        buffer_add(out, data, z.total_out);
        deflateEnd(&z);
    }
    buffer_done(&w.out);
}

#define PUT_INITRAMFS(path, ...)                                                                   \
    do {                                                                                           \
        static const char *const files_[][2] = {__VA_ARGS__};                                      \
        _cleanup_buffer_ struct buffer packed_ = {0};                                              \
        pack(files_, ARRAY_SIZE(files_), true, &packed_);                                          \
        fake_put(&guest, path, packed_.data, packed_.length);                                      \
    } while (0)

static bool want_all(void *context, const struct cpio_entry *entry)
{
    return true;
}

static void list_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    if (S_ISDIR(entry->mode))
        buffer_printf(context, "%s/;", entry->name);
    else
        buffer_printf(context, "%s%s=%.*s;", entry->name, entry->mode & 0100 ? "*" : "",
                      (int)entry->size, data ? data : "");
}

static void make_plan(struct plan *plan)
{
    _cleanup_error_ struct error *err = NULL;

    *plan = (struct plan){0};
    facts_forget_kernels(&facts);
    if (inspect_kernels(&facts.tree, &facts.kernels, &facts.kernel_count, &err) < 0 ||
        change_linux_initramfs.apply(&facts, plan, &err) < 0)
        fail_msg("%s", error_text(err));
}

/* Plans, keeps what is appended to `path` in `listing`, applies, and returns how many edits it was.
 */
static size_t morph(const char *path)
{
    const struct cpio_handler handler = {want_all, list_entry, &listing};
    struct cpio_reader r;
    struct plan plan;
    size_t count;

    make_plan(&plan);
    buffer_done(&listing);
    buffer_add_text(&listing, "");
    for (size_t n = 0; n < plan.edit_count; n++) {
        const struct edit *e = &plan.edits[n];

        if (e->kind != EDIT_APPEND || strcmp(e->path, path) != 0)
            continue;
        cpio_reader_init(&r, &handler, false);
        for (size_t at = 0; at < e->length; at++) /* zero bytes in front are padding */
            if (e->data[at]) {
                assert_true(cpio_feed(&r, e->data + at, e->length - at) > 0);
                break;
            }
        cpio_reader_done(&r);
    }
    count = plan.edit_count;
    fake_apply(&guest, &plan);
    plan_done(&plan);
    return count;
}

/* The plan is refused with a sentence that has `words`. */
static void refused(const char *words)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan = {0};

    facts_forget_kernels(&facts);
    assert_int_equal(inspect_kernels(&facts.tree, &facts.kernels, &facts.kernel_count, NULL), 0);
    assert_true(change_linux_initramfs.apply(&facts, &plan, &err) < 0);
    plan_done(&plan);
    if (!strstr(error_text(err), words))
        fail_msg("'%s' is not in: %s", words, error_text(err));
}

static void appended(const char *what)
{
    if (!listing.data || !strstr(listing.data, what))
        fail_msg("'%s' was not appended, but: %s", what, listing.data ? listing.data : "nothing");
}

static void not_appended(const char *what)
{
    if (listing.data && strstr(listing.data, what))
        fail_msg("'%s' was appended: %s", what, listing.data);
}

static void text_has(const char *path, const char *what)
{
    struct fake_file *f = fake_find(&guest, path);

    if (!f || !strstr(f->data, what))
        fail_msg("'%s' is not in %s: %s", what, path, f ? f->data : "(no such file)");
}

static size_t size_of(const char *path)
{
    return fake_find(&guest, path)->length;
}

#define EL9 "5.14.0-362.el9.x86_64"

static void put_el9(void)
{
    put_kernel(EL9, ".xz");
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"early_cpio", "1"}, {"usr/", ""},
                  {"usr/lib/", ""}, {"etc/", ""}, {"etc/cmdline.d/", ""},
                  {"usr/lib/dracut/hooks/pre-udev/x.sh", ""},
                  {"usr/lib/modules/" EL9 "/kernel/ext4.ko.xz", "x"});
    put("kdump", "/boot/initramfs-" EL9 "kdump.img");
    put("rescue", "/boot/initramfs-0-rescue-0123.img");
    put("", "/usr/bin/dracut");
}

static void test_dracut(void **state)
{
    size_t other;

    put_el9();
    other = size_of("/boot/initramfs-" EL9 "kdump.img");
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 2);
    appended("etc/cmdline.d/90-slipway.conf=rd.driver.pre=" LOADED "\n;");
    appended("usr/lib/modules/" EL9 "/kernel/virtio_blk.ko.xz=\xfd"
             "7zXZ");
    appended("usr/lib/modules/" EL9 "/kernel/virtio_ring.ko.xz=");
    appended("usr/lib/modules/" EL9 "/modules.dep.bin=\xb0\x07\xf4\x57");
    appended("alias virtio:d00000002v* virtio_blk\n");
    appended("kernel/ext4.ko.xz:\n"); /* what was there is still found */
    not_appended("ahci");
    not_appended(";etc/;"); /* directories that exist are not made anew: lib may be a link */
    text_has("/etc/dracut.conf.d/10-slipway.conf", "add_drivers+=\" " NAMES " \"\n");
    assert_int_equal(size_of("/boot/initramfs-" EL9 "kdump.img"), other);
    assert_true(facts.virtio_disk);
    assert_true(facts.virtio_net);
    assert_null(facts.wanted_kernel);
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 0);
}

/* kmod in the initramfs cannot read compressed modules unless it holds some. */
static void test_modules_are_stored_as_the_others_are(void **state)
{
    put_kernel(EL9, ".xz");
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"usr/lib/dracut/x", ""},
                  {"usr/lib/modules/" EL9 "/kernel/ext4.ko", "x"});
    morph("/boot/initramfs-" EL9 ".img");
    appended("/kernel/virtio_blk.ko=elf virtio_blk;");
    appended("kernel/virtio_blk.ko: kernel/virtio_ring.ko kernel/virtio.ko\n");
    not_appended(".xz");
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 0);
}

static void test_what_is_there_stays(void **state)
{
    put_kernel(EL9, "");
    put("add_drivers+=\" mine \"\n", "/etc/dracut.conf.d/50-mine.conf");
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"usr/lib/dracut/x", ""},
                  {"usr/lib/modules/" EL9 "/kernel/virtio_pci.ko", "x"},
                  {"usr/lib/modules/" EL9 "/kernel/virtio_blk.ko", "x"},
                  {"usr/lib/modules/" EL9 "/kernel/virtio_net.ko", "x"},
                  {"usr/lib/modules/" EL9 "/kernel/virtio_scsi.ko", "x"},
                  {"usr/lib/modules/" EL9 "/kernel/sd_mod.ko", "x"});
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 1); /* the configuration */
    assert_string_equal(listing.data, "");
    text_has("/etc/dracut.conf.d/50-mine.conf", "mine");
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 0);
}

static void test_drivers_built_in_need_nothing(void **state)
{
    put_kernel(EL9, "");
    put("kernel/virtio_pci.ko\nkernel/virtio_blk.ko\nkernel/virtio_scsi.ko\n"
        "kernel/virtio_net.ko\nkernel/sd_mod.ko\n",
        "/lib/modules/" EL9 "/modules.builtin");
    assert_int_equal(morph("-"), 0); /* it has no initramfs at all */
    assert_true(facts.virtio_disk);
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"usr/lib/dracut/x", ""});
    assert_int_equal(morph("-"), 0);
}

static void test_modules_only_the_initramfs_knows_are_still_found(void **state)
{
    put_kernel(EL9, "");
    PUT_INITRAMFS(
        "/boot/initramfs-" EL9 ".img", {"usr/lib/dracut/x", ""},
        {"usr/lib/modules/" EL9 "/extra/old-raid.ko", "x"},
        {"usr/lib/modules/" EL9 "/modules.dep",
         "extra/old-raid.ko: kernel/ext4.ko\nkernel/ext4.ko:\n"},
        {"usr/lib/modules/" EL9 "/modules.alias", "alias pci:v1 old_raid\nalias pci:v2 ext4\n"});
    morph("/boot/initramfs-" EL9 ".img");
    appended("extra/old-raid.ko: kernel/ext4.ko\n");
    appended("alias pci:v1 old_raid\n");
    not_appended("pci:v2");
}

static void test_softdeps_come_along(void **state)
{
    put_kernel(EL9, "");
    put("# text\nsoftdep virtio-blk pre: ext4 post: none\nsoftdep ahci pre: other\n",
        "/lib/modules/" EL9 "/modules.softdep");
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"usr/lib/dracut/x", ""},
                  {"usr/lib/modules/" EL9 "/", ""},
                  {"usr/lib/modules/" EL9 "/modules.softdep", "softdep a pre: b"});
    morph("/boot/initramfs-" EL9 ".img");
    appended("kernel/ext4.ko=elf ext4;");
    appended("modules.softdep=softdep a pre: b\nsoftdep virtio-blk pre: ext4 post: none\n;");
}

#define FINISHED "usr/lib/dracut/hooks/initqueue/finished/devexists-"

static void test_waits_for_devices_of_the_source_end(void **state)
{
    put_el9();
    PUT_INITRAMFS(
        "/boot/initramfs-" EL9 ".img",
        {FINISHED "\\x2fdev\\x2fdisk\\x2fby-path\\x2fpci-0.sh", "[ -e x ]"},
        {FINISHED "\\x2fdev\\x2fdisk\\x2fby-uuid\\x2f12.sh", "[ -e x ]"},
        {"etc/systemd/system/dev-disk-by\\x2did-scsi\\x2d36.device.d/timeout.conf", "[Unit]"},
        {"etc/systemd/system/dev-mapper-vg\\x2droot.device.d/timeout.conf", "[Unit]"});
    morph("/boot/initramfs-" EL9 ".img");
    appended("by-path\\x2fpci-0.sh=: # slipway-morph");
    appended("scsi\\x2d36.device.d/timeout.conf=# slipway-morph: a device of the source\n[Unit]\n"
             "JobTimeoutSec=1\n");
    not_appended("by-uuid");
    not_appended("dev-mapper");
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 0);
}

#define EL6 "2.6.32-754.el6.x86_64"

static void test_dracut_of_red_hat_6(void **state)
{
    put_kernel(EL6, "");
    PUT_INITRAMFS("/boot/initramfs-" EL6 ".img", {"lib/", ""}, {"lib/dracut-lib.sh", ""},
                  {"pre-udev/", ""}, {"lib/modules/" EL6 "/kernel/ext4.ko", "x"});
    assert_int_equal(morph("/boot/initramfs-" EL6 ".img"), 2);
    appended("pre-udev/90-slipway.sh*=modprobe virtio_pci 2>/dev/null\n"
             "modprobe virtio_blk 2>/dev/null\n");
    appended("lib/modules/" EL6 "/kernel/virtio_blk.ko=elf virtio_blk;");
    not_appended("usr/");
    not_appended("pre-udev/;");
    text_has("/etc/dracut.conf.d/10-slipway.conf", "add_drivers+=\" " NAMES " \"\n");
    assert_int_equal(morph("/boot/initramfs-" EL6 ".img"), 0);
}

#define EL5 "2.6.18-398.el5"

static void put_el5(const char *init)
{
    static const char *const none[][2] = {
        {"bin/nash", "elf"}, {"lib/", ""}, {"lib/scsi_mod.ko", "x"}, {"lib/ext3.ko", "x"}};
    const char *const files[][2] = {{none[0][0], none[0][1]},
                                    {none[1][0], none[1][1]},
                                    {none[2][0], none[2][1]},
                                    {none[3][0], none[3][1]},
                                    {"init", init}};
    _cleanup_buffer_ struct buffer packed = {0};

    put_kernel(EL5, "");
    pack(files, ARRAY_SIZE(files), true, &packed);
    fake_put(&guest, "/boot/initrd-" EL5 ".img", packed.data, packed.length);
    put("alias eth0 pcnet32\nalias scsi_hostadapter mptbase\nalias scsi_hostadapter1 mptspi\n",
        "/etc/modprobe.conf");
}

static void test_mkinitrd_of_red_hat_5(void **state)
{
    put_el5("#!/bin/nash\nmount -t proc /proc /proc\nhotplug\nmkblkdevs\n"
            "echo \"Loading ehci-hcd.ko module\"\ninsmod /lib/ehci-hcd.ko \n"
            "mount -t usbfs /proc/bus/usb /proc/bus/usb\ninsmod /lib/scsi_mod.ko \n"
            "stabilized --hash --interval 250 /proc/scsi/scsi\ninsmod /lib/dm-mod.ko \nmkblkdevs\n"
            "mkrootdev -t ext3 -o defaults,ro sda1\n");
    assert_int_equal(morph("/boot/initrd-" EL5 ".img"), 2);
    appended("lib/virtio_blk.ko=elf virtio_blk;");
    appended("init*=#!/bin/nash\n");
    /* In the order in which they can be inserted, before the disks are needed. */
    appended("insmod /lib/scsi_mod.ko \n"
             "echo \"Loading virtio.ko module\"\ninsmod /lib/virtio.ko \n"
             "echo \"Loading virtio_ring.ko module\"\ninsmod /lib/virtio_ring.ko \n");
    appended("insmod /lib/virtio_pci.ko \necho \"Loading virtio_blk.ko module\"\n"
             "insmod /lib/virtio_blk.ko \n");
    appended("mkblkdevs\nstabilized --hash");
    not_appended("scsi_mod.ko=");
    not_appended("modules.dep");
    text_has("/etc/modprobe.conf", "alias scsi_hostadapter1 mptspi\n"
                                   "alias scsi_hostadapter2 virtio_pci\n"
                                   "alias scsi_hostadapter3 virtio_blk\n"
                                   "alias scsi_hostadapter4 virtio_scsi\n");
    assert_int_equal(morph("/boot/initrd-" EL5 ".img"), 0);
}

static void test_mkinitrd_script_without_a_place(void **state)
{
    put_el5("#!/bin/nash\necho nothing\n");
    refused("has no program");
    put("", "/sbin/mkinitrd");
    assert_true(morph("/boot/initrd-" EL5 ".img") > 0); /* by its own program */
    assert_string_equal(listing.data, "");
}

#define SLES11 "3.0.101-63-default"

static void test_mkinitrd_of_suse_11(void **state)
{
    put_kernel(SLES11, "");
    put("INITRD_MODULES=\"mptspi ata_piix\"\nOTHER=\"\"\n", "/etc/sysconfig/kernel");
    PUT_INITRAMFS("/boot/initrd-" SLES11, {"lib/modules/" SLES11 "/kernel/ext4.ko", "x"},
                  {"config/start.sh", "RESOLVED_INITRD_MODULES='mptspi'\n"},
                  {"run_all.sh", "[ \"$RESOLVED_INITRD_MODULES\" ] || "
                                 "RESOLVED_INITRD_MODULES='mptspi jbd'\nmodules=x\n"});
    put("kdump", "/boot/initrd-" SLES11 "-kdump");
    assert_int_equal(morph("/boot/initrd-" SLES11), 2);
    appended("run_all.sh*=[ \"$RESOLVED_INITRD_MODULES\" ] || "
             "RESOLVED_INITRD_MODULES='" NAMES " mptspi jbd'\nmodules=x\n;");
    appended("config/start.sh*=RESOLVED_INITRD_MODULES='" NAMES " mptspi'\n;");
    appended("lib/modules/" SLES11 "/kernel/virtio_blk.ko=elf virtio_blk;");
    text_has("/etc/sysconfig/kernel", "INITRD_MODULES=\"" NAMES " mptspi ata_piix\"\nOTHER=\"\"\n");
    assert_int_equal(morph("/boot/initrd-" SLES11), 0);
}

#define ARCH "6.6.4-arch1-1"

static void put_arch(void)
{
    put_modules(ARCH, "");
    put("linux\n", "/lib/modules/" ARCH "/pkgbase");
    put("kernel", "/boot/vmlinuz-linux");
    put("ucode", "/boot/intel-ucode.img");
    put("# MODULES=(no)\nMODULES=(ext4\n  xfs)\nHOOKS=(base udev)\n", "/etc/mkinitcpio.conf");
}

static void test_mkinitcpio(void **state)
{
    put_arch();
    PUT_INITRAMFS("/boot/initramfs-linux.img", {"buildconfig", ""}, {"hooks/udev", ""},
                  {"config", "EARLYHOOKS=\"udev\"\nMODULES=\"ext4\"\n"},
                  {"usr/lib/modules/" ARCH "/kernel/ext4.ko", "x"});
    PUT_INITRAMFS("/boot/initramfs-linux-fallback.img", {"buildconfig", ""}, {"config", ""},
                  {"usr/lib/modules/" ARCH "/kernel/ext4.ko", "x"});
    assert_int_equal(morph("/boot/initramfs-linux.img"), 3);
    appended("config=EARLYHOOKS=\"udev\"\nMODULES=\"ext4\"\nMODULES=\"$MODULES " NAMES "\"\n;");
    not_appended("modules-load.d");
    appended("modules.alias.bin=\xb0\x07\xf4\x57"); /* what udev reads there */
    text_has("/etc/mkinitcpio.conf", "# MODULES=(no)\nMODULES=(" NAMES " ext4\n  xfs)\nHOOKS");
    assert_int_equal(morph("/boot/initramfs-linux.img"), 0);
    assert_int_equal(facts.kernels[0].initramfs[2] == NULL, 1);
}

static void test_mkinitcpio_with_systemd(void **state)
{
    put_arch();
    PUT_INITRAMFS("/boot/initramfs-linux.img", {"buildconfig", ""}, {"config", "X=\"\""},
                  {"etc/", ""}, {"etc/modules-load.d/", ""},
                  {"etc/modules-load.d/MODULES.conf", "\n"});
    assert_int_equal(morph("/boot/initramfs-linux.img"), 2);
    appended("etc/modules-load.d/slipway.conf=" LINES ";");
    appended("config=X=\"\"\nMODULES=\"$MODULES " NAMES "\"\n;");
    assert_int_equal(morph("/boot/initramfs-linux.img"), 0);
}

#define ALPINE "6.6.4-0-lts"

static void test_mkinitfs(void **state)
{
    put_modules(ALPINE, "");
    put("kernel", "/boot/vmlinuz-lts");
    put("features=\"ata base scsi ext4\"\n", "/etc/mkinitfs/mkinitfs.conf");
    PUT_INITRAMFS("/boot/initramfs-lts", {"init", "#!/bin/sh\n"}, {"etc/", ""},
                  {"sbin/nlplug-findfs", "elf"}, {".modloop/", ""}, {"etc/modules", "af_packet"},
                  {"lib/modules/" ALPINE "/kernel/ext4.ko", "x"});
    assert_int_equal(morph("/boot/initramfs-lts"), 2);
    appended("etc/modules=af_packet\n" LINES ";");
    appended("lib/modules/" ALPINE "/kernel/virtio_blk.ko=elf virtio_blk;");
    not_appended("usr/");
    text_has("/etc/mkinitfs/mkinitfs.conf", "features=\"virtio ata base scsi ext4\"\n");
    assert_int_equal(morph("/boot/initramfs-lts"), 0);
}

/* systemd-boot: kernel and initramfs below a token and the version, on any boot partition. */
static void test_boot_loader_specification(void **state)
{
    static const struct {
        const char *image, *initramfs;
    } places[] = {
        {"/boot/0123456789abcdef/" EL9 "/linux", "/boot/0123456789abcdef/" EL9 "/initrd"},
        {"/efi/0123456789abcdef/" EL9 "/linux", "/efi/0123456789abcdef/" EL9 "/initrd.img-" EL9},
        {"/boot/efi/opensuse/" EL9 "/linux-01ab", "/boot/efi/opensuse/" EL9 "/initrd-23cd"},
    };

    for (size_t n = 0; n < ARRAY_SIZE(places); n++) {
        set_up(state);
        put_modules(EL9, "");
        put("kernel", "%s", places[n].image);
        put("", "/boot/efi/EFI/BOOT/BOOTX64.EFI");
        PUT_INITRAMFS(places[n].initramfs, {"usr/lib/dracut/x", ""});
        assert_int_equal(morph(places[n].initramfs), 2);
        assert_string_equal(facts.kernels[0].image, places[n].image);
        appended("kernel/virtio_blk.ko=elf virtio_blk;");
        assert_int_equal(morph(places[n].initramfs), 0);
        tear_down(state);
    }
    set_up(state);
}

/* A PE file with one section. */
static void put_unified(const char *path, const char *section, const struct buffer *content)
{
    _cleanup_buffer_ struct buffer out = {0};
    unsigned char head[256] = "MZ";
    uint32_t size = (uint32_t)content->length;

    head[0x3c] = 0x40;
    memcpy(head + 0x40, "PE\0\0", 4);
    head[0x46] = 1;  /* sections */
    head[0x54] = 16; /* bytes of optional header */
    memcpy(head + 0x68, section, strlen(section));
    for (int i = 0; i < 4; i++)
        head[0x68 + 8 + i] = head[0x68 + 16 + i] = (unsigned char)(size >> (8 * i));
    head[0x68 + 21] = 1; /* its data is at 256 */
    buffer_add(&out, head, sizeof(head));
    buffer_add(&out, content->data, content->length);
    fake_put(&guest, path, out.data, out.length);
}

static void test_unified_images(void **state)
{
    static const char *const without[][2] = {{"buildconfig", ""}};
    static const char *const with[][2] = {{"buildconfig", ""},
                                          {"lib/modules/" ARCH "/kernel/virtio_pci.ko", "x"},
                                          {"lib/modules/" ARCH "/kernel/virtio_blk.ko", "x"}};
    _cleanup_buffer_ struct buffer packed = {0}, better = {0};

    put_modules(ARCH, "");
    put("linux\n", "/lib/modules/" ARCH "/pkgbase");
    pack(without, ARRAY_SIZE(without), true, &packed);
    put_unified("/efi/EFI/Linux/arch-linux.efi", ".initrd", &packed);
    refused("/efi/EFI/Linux/arch-linux.efi is a unified kernel image without virtio drivers");
    pack(with, ARRAY_SIZE(with), false, &better);
    put_unified("/efi/EFI/Linux/arch-linux.efi", ".initrd", &better);
    assert_int_equal(morph("-"), 0);
    assert_true(facts.virtio_disk);
    put_unified("/efi/EFI/Linux/arch-linux.efi", ".other", &better);
    refused("no kernel image with an initramfs");
}

static void test_damaged_unified_images(void **state)
{
    struct buffer content = {.data = (char *)"0123456789", .length = 10};
    struct fake_file *f;
    const void *data;
    size_t length;

    put_unified("/u", ".initrd", &content);
    f = fake_find(&guest, "/u");
    assert_int_equal(unified_initramfs(f->data, f->length, &data, &length), 0);
    assert_int_equal(length, 10);
    assert_memory_equal(data, "0123456789", 10);
    for (size_t cut = 0; cut < f->length; cut++)
        assert_int_equal(unified_initramfs(f->data, cut, &data, &length), -EBADMSG);
}

static void put_without_virtio(const char *version)
{
    put("kernel", "/boot/vmlinuz-%s", version);
    put("kernel/ext4.ko:\n", "/lib/modules/%s/modules.dep", version);
}

static void test_another_kernel_is_wanted(void **state)
{
    put_el9();
    put_without_virtio("6.9.0-special");
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 2);
    assert_string_equal(facts.wanted_kernel, EL9);
    assert_true(facts.virtio_disk);
    assert_int_equal(morph("/boot/initramfs-" EL9 ".img"), 0);
    assert_string_equal(facts.wanted_kernel, EL9);
}

static void test_no_kernel_has_virtio(void **state)
{
    put_without_virtio("4.0.0");
    refused("kernel 4.0.0 of the guest has no virtio disk driver");
    PUT_INITRAMFS("/boot/initramfs-4.0.0.img", {"usr/lib/dracut/x", ""},
                  {"lib/modules/4.0.0/kernel/ahci.ko", "x"});
    assert_int_equal(morph("-"), 0);
    assert_false(facts.virtio_disk); /* it boots from SATA */
}

static void test_no_initramfs_for_a_modular_kernel(void **state)
{
    put_kernel(EL9, "");
    refused("has no initramfs where this program looks");
}

static const struct edit *only_run(const struct plan *plan)
{
    const struct edit *e = &plan->edits[plan->edit_count - 1];

    assert_true(plan->edit_count > 1); /* the configuration comes first */
    assert_int_equal(plan->edits[0].kind, EDIT_WRITE);
    assert_int_equal(e->kind, EDIT_RUN);
    return e;
}

static void test_own_program_is_the_last_resort(void **state)
{
    static const char words[] = "/usr/bin/dracut\0-f\0/boot/initramfs-" EL9 ".img\0" EL9;
    const struct edit *e;
    struct plan plan;

    put_el9();
    request.rebuild = REBUILD_ALWAYS;
    make_plan(&plan);
    assert_memory_equal(only_run(&plan)->data, words, sizeof(words));
    plan_done(&plan);

    request.rebuild = REBUILD_AUTO;
    put("what is this", "/boot/initramfs-" EL9 ".img");
    make_plan(&plan);
    e = only_run(&plan);
    assert_int_equal(e->length, sizeof(words));
    assert_memory_equal(e->data, words, sizeof(words));
    assert_string_equal(e->path, "/boot/initramfs-" EL9 ".img");
    plan_done(&plan);

    put("\x89LZO", "/boot/initramfs-" EL9 ".img");
    fake_find(&guest, "/boot/initramfs-" EL9 ".img")->length++; /* with the NUL byte */
    refused("compressed with LZO");

    put("what is this", "/boot/initramfs-" EL9 ".img");
    request.rebuild = REBUILD_NEVER;
    refused("damaged or of an unknown kind");
    request.rebuild = REBUILD_AUTO;
    PUT_INITRAMFS("/boot/initramfs-" EL9 ".img", {"init", "elf"});
    make_plan(&plan); /* readable, but nobody knows how it loads modules */
    assert_int_equal(only_run(&plan)->kind, EDIT_RUN);
    plan_done(&plan);
    request.rebuild = REBUILD_NEVER;
    refused("--rebuild never");
}

/* The command for an initramfs that nobody can read, on a guest with these files. */
static void expect_command(const char *image, const char *initramfs, const char *words,
                           size_t length)
{
    const struct edit *e;
    struct plan plan;

    put_modules("1.2-x", "");
    put("kernel", "%s", image);
    put("what is this", "%s", initramfs);
    make_plan(&plan);
    e = &plan.edits[plan.edit_count - 1];
    assert_int_equal(e->kind, EDIT_RUN);
    assert_int_equal(e->length, length);
    assert_memory_equal(e->data, words, length);
    plan_done(&plan);
    tear_down(NULL);
    set_up(NULL);
}

#define EXPECT(image, initramfs, words) expect_command(image, initramfs, words, sizeof(words))

static void test_own_programs_of_all_families(void **state)
{
    put("", "/usr/sbin/update-initramfs");
    put("", "/etc/initramfs-tools/modules");
    EXPECT("/boot/vmlinuz-1.2-x", "/boot/initrd.img-1.2-x",
           "/usr/sbin/update-initramfs\0-u\0-k\0001.2-x");
    put("", "/usr/bin/mkinitcpio");
    put("MODULES=()\n", "/etc/mkinitcpio.conf");
    put("linux", "/lib/modules/1.2-x/pkgbase");
    EXPECT("/boot/vmlinuz-linux", "/boot/initramfs-linux.img",
           "/usr/bin/mkinitcpio\0-k\0001.2-x\0-g\0/boot/initramfs-linux.img");
    put("", "/sbin/mkinitfs");
    put("features=\"\"\n", "/etc/mkinitfs/mkinitfs.conf");
    EXPECT("/boot/vmlinuz-x", "/boot/initramfs-x",
           "/sbin/mkinitfs\0-o\0/boot/initramfs-x\0001.2-x");
    put("", "/sbin/mkinitrd");
    put("", "/lib/mkinitrd/scripts/boot-udev.sh");
    put("INITRD_MODULES=\"\"\n", "/etc/sysconfig/kernel");
    put("", "/etc/modprobe.conf");
    EXPECT("/boot/vmlinuz-1.2-x", "/boot/initrd-1.2-x",
           "/sbin/mkinitrd\0-k\0/boot/vmlinuz-1.2-x\0-i\0/boot/initrd-1.2-x");
    put("", "/sbin/mkinitrd");
    put("", "/etc/sysconfig/kernel");
    put("", "/etc/modprobe.conf");
    EXPECT("/boot/vmlinuz-1.2-x", "/boot/initrd-1.2-x.img",
           "/sbin/mkinitrd\0-f\0--with=virtio_pci\0--with=virtio_blk\0/boot/initrd-1.2-x.img\0"
           "1.2-x");
}

/* Under emulation it takes minutes: not for a kernel that is not booted. */
static void test_own_program_is_not_run_for_old_kernels(void **state)
{
    struct plan plan;

    put_el9();
    put_kernel("5.0.0-old", "");
    put("what is this", "/boot/initramfs-5.0.0-old.img");
    make_plan(&plan);
    for (size_t n = 0; n < plan.edit_count; n++)
        assert_int_not_equal(plan.edits[n].kind, EDIT_RUN);
    assert_int_equal(plan.note_count, 1);
    assert_non_null(strstr(plan.notes[0].text, "5.0.0-old"));
    plan_done(&plan);
}

static void test_word_lists(void **state)
{
    static const char *const words[] = {"a", "b"};
    static const struct {
        const char *text, *expected, *added;
        int r;
    } cases[] = {
        {"K=\"x\"\nZ=1\n", "K=\"a b x\"\nZ=1\n", "a b", 0},
        {"K=\"\"", "K=\"a b\"", "a b", 0},
        {"K=()\n", "K=(a b)\n", "a b", 0},
        {"K=(x\n b)\n", "K=(a x\n b)\n", "a", 0},
        {"K=x\n", "K=\"a b x\"\n", "a b", 0},
        {"K=\n", "K=\"a b\"\n", "a b", 0},
        {"K='b a'\n", "K='b a'\n", "", 0},
        {"K=(ab ba)\n", "K=(a b ab ba)\n", "a b", 0},
        {"K=1\nK=\"x\"\n", "K=1\nK=\"a b x\"\n", "a b", 0},
        {"# K=1\nKK=2\n", "# K=1\nKK=2\n", "", -ENOENT},
        {"K=\"open\n", "K=\"a b open\n", "a b", 0},
        {"K=x\"y\n", "K=x\"y\n", "", -EINVAL},
        {"K=$OTHER\n", "K=$OTHER\n", "", -EINVAL},
        {"", "", "", -ENOENT},
    };

    for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
        _cleanup_buffer_ struct buffer out = {0}, added = {0};

        buffer_add_text(&out, "");
        assert_int_equal(wordlist_add(cases[n].text, "K", words, 2, &out, &added), cases[n].r);
        assert_string_equal(out.data, cases[n].expected);
        assert_string_equal(added.data ? added.data : "", cases[n].added);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_dracut),
        CASE(test_modules_are_stored_as_the_others_are),
        CASE(test_what_is_there_stays),
        CASE(test_drivers_built_in_need_nothing),
        CASE(test_modules_only_the_initramfs_knows_are_still_found),
        CASE(test_softdeps_come_along),
        CASE(test_waits_for_devices_of_the_source_end),
        CASE(test_dracut_of_red_hat_6),
        CASE(test_mkinitrd_of_red_hat_5),
        CASE(test_mkinitrd_script_without_a_place),
        CASE(test_mkinitrd_of_suse_11),
        CASE(test_mkinitcpio),
        CASE(test_mkinitcpio_with_systemd),
        CASE(test_mkinitfs),
        CASE(test_boot_loader_specification),
        CASE(test_unified_images),
        CASE(test_damaged_unified_images),
        CASE(test_another_kernel_is_wanted),
        CASE(test_no_kernel_has_virtio),
        CASE(test_no_initramfs_for_a_modular_kernel),
        CASE(test_own_program_is_the_last_resort),
        CASE(test_own_programs_of_all_families),
        CASE(test_own_program_is_not_run_for_old_kernels),
        CASE(test_word_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
