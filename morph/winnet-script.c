/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripts of the first boot that give the network cards their addresses.  They look a card up
 * by its MAC address, because Windows takes a card of another make for a new one and gives it a
 * number and a name of its own; and they wait for it, because its driver is installed at the same
 * time.
 */
#include "morph/winnet.h"

#define WAIT_TRIES 60
#define WAIT_SECONDS 5

static const char powershell_head[] =
    "# Written by slipway-morph: addresses of the network cards, by MAC address.\n"
    "$missing = 0\n"
    "function Get-Card([string]$mac) {\n"
    "    for ($try = 0; $try -lt %d; $try++) {\n"
    "        $card = Get-WmiObject -Class Win32_NetworkAdapter |\n"
    "            Where-Object { $_.PhysicalAdapter -and $_.MACAddress -eq $mac } |\n"
    "            Select-Object -First 1\n"
    "        if ($card) { return $card }\n"
    "        Start-Sleep -Seconds %d\n"
    "    }\n"
    "}\n"
    "function Set-Card([string]$mac, [string[]]$address, [string[]]$mask, [string[]]$gateway,\n"
    "                  [string[]]$server, [string]$suffix) {\n"
    "    $card = Get-Card $mac\n"
    "    if (-not $card) {\n"
    "        Write-Output \"no card has the address $mac\"\n"
    "        $script:missing = 1\n"
    "        return\n"
    "    }\n"
    "    $name = \"name=$($card.InterfaceIndex)\"\n"
    "    for ($i = 0; $i -lt $address.Length; $i++) {\n"
    "        $words = @('set', 'address', $name, 'source=static')\n"
    "        if ($i -gt 0) { $words = @('add', 'address', $name) }\n"
    "        netsh interface ipv4 $words \"address=$($address[$i])\" \"mask=$($mask[$i])\"\n"
    "    }\n"
    "    foreach ($one in $gateway) {\n"
    "        netsh interface ipv4 add address $name \"gateway=$one\" gwmetric=1\n"
    "    }\n"
    "    for ($i = 0; $i -lt $server.Length; $i++) {\n"
    "        if ($i -eq 0) {\n"
    "            netsh interface ipv4 set dnsservers $name source=static \"address=$($server[0])\" "
    "validate=no\n"
    "        } else {\n"
    "            netsh interface ipv4 add dnsservers $name \"address=$($server[$i])\" "
    "\"index=$($i + 1)\" validate=no\n"
    "        }\n"
    "    }\n"
    "    if ($suffix) {\n"
    "        $key = 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces\\' "
    "+ "
    "$card.GUID\n"
    "        Set-ItemProperty -Path $key -Name Domain -Value $suffix\n"
    "    }\n"
    "    Write-Output \"$mac has its addresses: $address\"\n"
    "}\n";

static const char vbscript_head[] =
    "' Written by slipway-morph: addresses of the network cards, by MAC address.\n"
    "Option Explicit\n"
    "Dim wmi, missing\n"
    "missing = 0\n"
    "Set wmi = GetObject(\"winmgmts:{impersonationLevel=impersonate}!\\\\.\\root\\cimv2\")\n"
    "\n"
    "Function GetCard(mac)\n"
    "    Dim turn, card\n"
    "    Set GetCard = Nothing\n"
    "    For turn = 1 To %d\n"
    "        For Each card In wmi.ExecQuery(\"SELECT * FROM Win32_NetworkAdapterConfiguration "
    "WHERE IPEnabled=TRUE\")\n"
    "            If LCase(card.MACAddress & \"\") = mac Then\n"
    "                Set GetCard = card\n"
    "                Exit Function\n"
    "            End If\n"
    "        Next\n"
    "        WScript.Sleep %d000\n"
    "    Next\n"
    "End Function\n"
    "\n"
    "Sub SetCard(mac, address, mask, gateway, metric, server, suffix)\n"
    "    Dim card\n"
    "    Set card = GetCard(mac)\n"
    "    If card Is Nothing Then\n"
    "        WScript.Echo \"no card has the address \" & mac\n"
    "        missing = 1\n"
    "        Exit Sub\n"
    "    End If\n"
    "    If UBound(address) >= 0 Then WScript.Echo card.EnableStatic(address, mask)\n"
    "    If UBound(gateway) >= 0 Then WScript.Echo card.SetGateways(gateway, metric)\n"
    "    If UBound(server) >= 0 Then WScript.Echo card.SetDNSServerSearchOrder(server)\n"
    "    If suffix <> \"\" Then WScript.Echo card.SetDNSDomain(suffix)\n"
    "    WScript.Echo mac & \" has its addresses\"\n"
    "End Sub\n"
    "\n";

/* Value i of one of the lists of a card. */
typedef const char *(*pick)(const struct wincard *card, size_t i);

static const char *pick_ip(const struct wincard *card, size_t i)
{
    return card->addresses[i].ip;
}

static const char *pick_mask(const struct wincard *card, size_t i)
{
    return card->addresses[i].mask;
}

static const char *pick_gateway(const struct wincard *card, size_t i)
{
    return card->gateways[i];
}

static const char *pick_metric(const struct wincard *card, size_t i)
{
    return "1";
}

static const char *pick_server(const struct wincard *card, size_t i)
{
    return card->servers[i];
}

static void add_list(struct buffer *out, const char *open, const char *quote, const char *close,
                     const struct wincard *card, pick value, size_t count)
{
    buffer_add_text(out, open);
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%s%s%s", i ? ", " : "", quote, value(card, i), quote);
    buffer_add_text(out, close);
}

void winnet_write_powershell(struct buffer *out, const struct winpin *pins, size_t count)
{
    buffer_printf(out, powershell_head, WAIT_TRIES, WAIT_SECONDS);
    for (size_t i = 0; i < count; i++) {
        const struct wincard *c = pins[i].card;

        buffer_printf(out, "Set-Card '%s'", pins[i].mac);
        add_list(out, " @(", "'", ")", c, pick_ip, c->address_count);
        add_list(out, " @(", "'", ")", c, pick_mask, c->address_count);
        add_list(out, " @(", "'", ")", c, pick_gateway, c->gateway_count);
        add_list(out, " @(", "'", ")", c, pick_server, c->server_count);
        buffer_printf(out, " '%s'\n", c->suffix);
    }
    buffer_add_text(out, "exit $missing\n");
}

void winnet_write_vbscript(struct buffer *out, const struct winpin *pins, size_t count)
{
    buffer_printf(out, vbscript_head, WAIT_TRIES, WAIT_SECONDS);
    for (size_t i = 0; i < count; i++) {
        const struct wincard *c = pins[i].card;

        buffer_printf(out, "SetCard \"%s\"", pins[i].mac);
        add_list(out, ", Array(", "\"", ")", c, pick_ip, c->address_count);
        add_list(out, ", Array(", "\"", ")", c, pick_mask, c->address_count);
        add_list(out, ", Array(", "\"", ")", c, pick_gateway, c->gateway_count);
        add_list(out, ", Array(", "", ")", c, pick_metric, c->gateway_count);
        add_list(out, ", Array(", "\"", ")", c, pick_server, c->server_count);
        buffer_printf(out, ", \"%s\"\n", c->suffix);
    }
    buffer_add_text(out, "WScript.Quit missing\n");
}
