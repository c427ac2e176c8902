/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script that runs once, when Windows has started on KVM: what can only be done by Windows
 * itself.  It is started by a service, which works alike on all versions, needs nobody to log in,
 * and comes back at the next boot when it was interrupted.
 *
 * No foreign program is needed: the service is Windows's own cmd.exe, which starts a second one for
 * the script and ends.  It does not answer the service manager, which therefore notes that the
 * service failed and does not care further (ErrorControl 0); the second one goes on.  The script
 * deletes the service when it is done.
 */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "morph/change.h"
#include "morph/hostfile.h"
#include "morph/windows-edit.h"

#define CHANGE "firstboot"
#define SERVICE "SlipwayFirstBoot"
#define COMMAND "%SystemRoot%\\System32\\cmd.exe"

static const char head[] = "@echo off\n"
                           "rem Written by slipway-morph: runs once, at the first boot on KVM.\n"
                           "setlocal\n"
                           "set here=%SystemRoot%\\Slipway\n"
                           "call :main >>\"%here%\\firstboot.log\" 2>&1\n"
                           "exit /b 0\n"
                           ":main\n"
                           "echo %date% %time% first boot on KVM\n"
                           "set last=no\n"
                           "if exist \"%here%\\again.try\" set last=yes\n"
                           "if exist \"%here%\\first.try\" echo.>\"%here%\\again.try\"\n"
                           "echo.>\"%here%\\first.try\"\n"
                           "set failed=no\n";

/* What did not work is tried at three boots. */
static const char tail[] = "echo %date% %time% done, failed: %failed%\n"
                           "if %failed%==yes if %last%==no exit /b 1\n"
                           "sc.exe delete " SERVICE "\n"
                           "echo.>\"%here%\\firstboot.done\"\n"
                           "exit /b 0\n";

/* Publishers of drivers that are signed by their maker only, as those for Windows 7 and 8: without
 * this Windows would ask a person. */
static const char trust_script[] =
    "# Written by slipway-morph: the makers of the drivers put here are trusted.\n"
    "$here = Split-Path -Parent $MyInvocation.MyCommand.Path\n"
    "$store = New-Object System.Security.Cryptography.X509Certificates.X509Store("
    "'TrustedPublisher', 'LocalMachine')\n"
    "$store.Open('ReadWrite')\n"
    "foreach ($file in Get-ChildItem (Join-Path $here 'drivers') | "
    "Where-Object { '.sys', '.cat' -contains $_.Extension }) {\n"
    "    $signature = Get-AuthenticodeSignature $file.FullName\n"
    "    if ($signature.Status -eq 'Valid') { $store.Add($signature.SignerCertificate) }\n"
    "}\n"
    "$store.Close()\n";

/* Servers leave disks offline that come by another bus than before. */
static const char disks_script[] =
    "# Written by slipway-morph: disks that are new by their bus only are put online.\n"
    "foreach ($disk in Get-Disk | Where-Object { $_.FriendlyName -like '*VirtIO*' }) {\n"
    "    if ($disk.IsOffline) { Set-Disk -Number $disk.Number -IsOffline $false }\n"
    "    if ($disk.IsReadOnly) { Set-Disk -Number $disk.Number -IsReadOnly $false }\n"
    "}\n";

#define POWERSHELL "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "

static int add_drivers(struct facts *facts, struct plan *plan, struct buffer *script,
                       struct error **err)
{
    const struct windows *w = facts->windows;
    int r = 0;

    /* XP and 2003 have no such program and find the drivers by DevicePath. */
    if (!w->has_drivers || !windows_since(w, 6, 0))
        return 0;
    buffer_add_text(script, "echo drivers\n");
    if (windows_since(w, 6, 1) && !windows_since(w, 10, 0)) {
        r = windows_put_text(facts, plan, CHANGE, "Slipway/trust.ps1", trust_script,
                             str_dup("the makers of the virtio drivers are trusted at the first "
                                     "boot"),
                             str_dup("this Windows would ask a person before it installs drivers "
                                     "that Microsoft has not signed"),
                             err);
        buffer_add_text(script, POWERSHELL "\"%here%\\trust.ps1\"\n");
    }
    buffer_add_text(script, "for %%f in (\"%here%\\drivers\\*.inf\") do "
                            "\"%SystemRoot%\\System32\\pnputil.exe\" -i -a \"%%f\"\n");
    return r;
}

static int add_disks(struct facts *facts, struct plan *plan, struct buffer *script,
                     struct error **err)
{
    const struct windows *w = facts->windows;

    if (facts->volumes.disks < 2 || !w->is_server || !windows_since(w, 6, 2))
        return 0;
    buffer_add_text(script, "echo disks\n" POWERSHELL "\"%here%\\disks.ps1\"\n");
    return windows_put_text(facts, plan, CHANGE, "Slipway/disks.ps1", disks_script,
                            str_dup("the other disks are put online at the first boot"),
                            str_dup("Windows Server leaves disks offline that come by another bus"),
                            err);
}

/* Only what needs no quoting in a script. */
static bool is_plain(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n > 0 && n < 100 && !name[n];
}

/* The caller's own scripts, after everything else. */
static int add_scripts(struct facts *facts, struct plan *plan, struct buffer *script,
                       struct error **err)
{
    const struct hostfiles *list = &facts->request->script_firstboot;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < list->count; i++) {
        const struct hostfile *f = &list->items[i];
        const char *dot = strrchr(f->name, '.');
        bool power = dot && strcasecmp(dot, ".ps1") == 0;
        _cleanup_free_ char *below = str_format("Slipway/scripts/%02zu-%s", i, f->name);

        if (!hostfile_is_windows_script(f->name) || !is_plain(f->name))
            return error_set(
                err, EINVAL,
                "--script-firstboot '%s': a script for Windows ends with .cmd, .bat or "
                ".ps1, and has letters, digits, '.', '_' and '-' in its name",
                f->name);
        r = windows_put(facts, plan, CHANGE, below, f->data, f->length,
                        str_dup("a script for the first boot"),
                        str_dup("--script-firstboot gives it"), err);
        buffer_printf(script, "echo %s\n%s\"%%here%%\\scripts\\%02zu-%s\"\n", f->name,
                      power ? POWERSHELL : "call ", i, f->name);
    }
    return r;
}

static void tell_what_is_not_for_windows(const struct facts *facts, struct plan *plan)
{
    const struct request *q = facts->request;

    if (q->ssh_keys.count > 0 || q->packages || q->install_agent || q->drop_credentials)
        plan_warn(plan, CHANGE,
                  "--ssh-key, --packages, --install-agent and --drop-credentials are for Linux "
                  "guests: nothing was done about them; the agent comes with --virtio-win");
}

static int add_service(struct windows *w, struct error **err)
{
    static const char command[] = COMMAND " /d /c start \"\" /b \"" COMMAND
                                          "\" /d /c \"%SystemRoot%\\Slipway\\firstboot.cmd\"";
    _cleanup_free_ char *key = windows_key(w, "Services\\" SERVICE);
    int sum = 0;

    hive_sum(&sum, hive_set_number(w->system, key, "Type", 0x10, err)); /* a process of its own */
    hive_sum(&sum, hive_set_number(w->system, key, "Start", 2, err));
    hive_sum(&sum, hive_set_number(w->system, key, "ErrorControl", 0, err));
    hive_sum(&sum, hive_set_text(w->system, key, "ImagePath", HIVE_EXPAND, command, err));
    hive_sum(&sum,
             hive_set_text(w->system, key, "DisplayName", HIVE_TEXT, "Slipway first boot", err));
    hive_sum(&sum, hive_set_text(w->system, key, "ObjectName", HIVE_TEXT, "LocalSystem", err));
    if (sum > 0)
        buffer_printf(&w->system_what,
                      "%sthe service " SERVICE " runs the script of the first boot",
                      w->system_what.length ? "; " : "");
    return sum;
}

/* True when a file that the script uses is new or different. */
static bool has_news(const struct facts *facts, const struct plan *plan)
{
    _cleanup_free_ char *directory = windows_path(facts, "Slipway");
    size_t n = strlen(directory);

    for (size_t i = 0; i < plan->edit_count; i++)
        if (strncmp(plan->edits[i].path, directory, n) == 0 && plan->edits[i].path[n] == '/')
            return true;
    return false;
}

/* The marks of an earlier first boot. */
static void remove_marks(struct facts *facts, struct plan *plan)
{
    static const char *const marks[] = {"Slipway/firstboot.done", "Slipway/first.try",
                                        "Slipway/again.try"};

    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        _cleanup_free_ char *path = windows_path(facts, marks[i]);

        if (tree_kind(&facts->tree, path) == TREE_FILE)
            plan_edit(plan, EDIT_DELETE, CHANGE, path, NULL, 0,
                      str_dup("the mark of an earlier first boot is gone"),
                      str_dup("there is something new to do at the next one"));
    }
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct windows *w = facts->windows;
    _cleanup_buffer_ struct buffer script = {0};
    _cleanup_free_ char *done = windows_path(facts, "Slipway/firstboot.done");
    size_t bare;
    int r;

    tell_what_is_not_for_windows(facts, plan);
    buffer_add_text(&script, head);
    bare = script.length;
    r = add_drivers(facts, plan, &script, err);
    if (r >= 0)
        r = add_disks(facts, plan, &script, err);
    if (r < 0)
        return r;
    buffer_add(&script, w->steps.data ? w->steps.data : "", w->steps.length);
    r = add_scripts(facts, plan, &script, err);
    if (r < 0)
        return r;
    if (script.length == bare)
        return 0;
    buffer_add_text(&script, tail);
    r = windows_put_text(facts, plan, CHANGE, "Slipway/firstboot.cmd", script.data,
                         str_dup("a script is at hand for the first boot"),
                         str_dup("drivers, addresses and agents are installed by Windows itself"),
                         err);
    if (r < 0)
        return r;
    /* It ran, and would do nothing else now. */
    if (!has_news(facts, plan) && tree_exists(&facts->tree, done))
        return 0;
    r = add_service(w, err);
    if (r > 0)
        remove_marks(facts, plan);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "what only Windows itself can do is done at its first boot";
}

const struct change_ops change_windows_firstboot = {
    .name = CHANGE,
    .applies = facts_is_windows,
    .apply = apply,
    .describe = describe,
};
