# SPDX-License-Identifier: Apache-2.0
# bash completion for slipway(1)

_slipway_names() {
    # Names of migrations or sources; silent when slipwayd does not run.
    slipway "$@" --json 2>/dev/null | sed -n 's/^      "name": "\(.*\)",$/\1/p'
}

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
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
    local common="--socket --json --help --version" words

    case $prev in
    --password-file | --socket | --nbd-socket | --key | --public-key | --output)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return ;;
    --pool | --state) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --shutdown-policy) words="wait force fail" ;;
    --on-failure) words="restart keep" ;;
    --accel) words="auto kvm tcg" ;;
    esac
    if [[ $verb == engine && $COMP_CWORD -gt 2 ]]; then
        _slipway_engine "$cur"
        return
    fi
    if [[ -z $words ]]; then
        case $COMP_CWORD:$verb in
        1:*) words="source vm migrate sync status rehearse cutover report diff cancel remove mount engine --help --version" ;;
        2:source) words="add list remove" ;;
        2:vm) words="list" ;;
        2:engine) words="create serve sync status cancel diff draft set load flip source source-lost detach failback limit stop fsck
                      verify manifest manifest-key verify-manifest" ;;
        *:source)
            words="$common --password-file --no-check"
            [[ ${COMP_WORDS[2]} == remove ]] && words+=" $(_slipway_names source list)" ;;
        *:vm) words="$common $(_slipway_names source list)" ;;
        *:migrate)
            words="$common --follow --detach --name --pool --map-network --shutdown-policy
                   --shutdown-timeout --on-failure --no-morph --morph-option --instant --accel --connections --boot-timeout --uuid" ;;
        *:rehearse) words="$common --follow --detach --check --timeout --keep --stop $(_slipway_names status)" ;;
        *:cutover) words="$common --follow --detach --instant $(_slipway_names status)" ;;
        *:sync | *:cancel) words="$common --follow --detach $(_slipway_names status)" ;;
        *:diff) words="$common --state --disk --extents --fast --files $(_slipway_names status)" ;;
        *:status) words="$common --watch $(_slipway_names status)" ;;
        *:mount)
            words="--state --wait --allow-other --foreground --help --version"
            compopt -o default ;;
        *:report | *:remove) words="$common $(_slipway_names status)" ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _slipway slipway
