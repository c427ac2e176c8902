# SPDX-License-Identifier: Apache-2.0
# bash completion for slipway(1)

# What can follow "slipway engine VERB": its options, and for the first word a store's folder.
_slipway_engine() {
    local words="--json --help"

    case ${COMP_WORDS[2]} in
    create) words+=" --disk --name --keep --preseed" ;;
    serve) words+=" --nbd-socket --live --source-wait --accept-loss" ;;
    sync) words+=" --bitmap --snapshot --compare --bytes --connections" ;;
    verify) words+=" --sample --bytes --repair" ;;
    flip) words+=" --generation --grace --instant --snapshot --bitmap --since --token" ;;
    detach) words+=" --grace --token" ;;
    manifest) words+=" --key --output" ;;
    verify-manifest) words+=" --public-key --disk" ;;
    failback) words+=" --bitmap --check --final --grace" ;;
    limit) words+=" --disk --source-rate --source-iops --target-rate --target-iops" ;;
    fsck) words+=" --data" ;;
    diff) words+=" --disk --extents --fast --files" ;;
    set) words+=" --keep --space-budget --when-full" ;;
    draft)
        [[ $COMP_CWORD -eq 3 ]] && words="create list seal drop"
        [[ ${COMP_WORDS[3]} == create && $COMP_CWORD -gt 3 ]] && words+=" --generation" ;;
    load)
        words+=" --snapshot --grace"
        [[ $COMP_CWORD -eq 3 ]] && words="begin commit abandon" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$1")
    [[ $1 == -* || $words == "create list seal drop" || $words == "begin commit abandon" ]] ||
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$1")
}

_slipway() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} line

    COMPREPLY=()
    if [[ $verb == engine && $COMP_CWORD -gt 2 ]]; then
        case ${COMP_WORDS[COMP_CWORD-1]} in
        --nbd-socket | --key | --public-key | --output)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        *) _slipway_engine "$cur" ;;
        esac
        return
    fi
    case $COMP_CWORD:$verb in
    2:engine)
        mapfile -t COMPREPLY < <(compgen -W "create serve sync status cancel diff draft set load flip
            source source-lost detach failback limit stop fsck verify manifest manifest-key
            verify-manifest --help" -- "$cur")
        return ;;
    [2-9]:mount | [1-9][0-9]:mount)
        mapfile -t COMPREPLY < <(compgen -W "--state --wait --allow-other --foreground --help --version" -- "$cur")
        compopt -o default 2>/dev/null
        return ;;
    esac
    # All others say themselves what can come next; "@file" leaves it to the shell.
    while IFS= read -r line; do
        case $line in
        @file) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
        @folder) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur") ;;
        *) COMPREPLY+=("$line") ;;
        esac
    done < <("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _slipway slipway
