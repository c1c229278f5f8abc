# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_reexec_global_optspecs
    string join \n h/help V/version
end

function __fish_reexec_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_reexec_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_reexec_using_subcommand
    set -l cmd (__fish_reexec_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c reexec -n "__fish_reexec_needs_command" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_needs_command" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "report" -d 'Who runs old files now (read-only)'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "needs-restart" -d 'Who runs old files now (read-only)'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "plan" -d 'What apply would do, and by which rule'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "explain" -d 'The evidence, the verdict and the rule for a pid, a unit or a path'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "apply" -d 'Do what the policy says, and prove it'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "hook" -d 'Called by a package manager\'s trigger'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "policy" -d 'Check or show the policy'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "history" -d 'Past runs: what was stale, what was done, what was proven'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "replace" -d 'Put files in place so that each is whole at every instant; then judge, act and prove'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "run" -d 'Run a command that installs something; then say what it replaced and how, act and prove'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "doctor" -d 'Is everything wired, and does it work?'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "watch" -d 'The update service: asks its sources for something new, installs it, and proves it'
complete -c reexec -n "__fish_reexec_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c reexec -n "__fish_reexec_using_subcommand report" -l parts -d 'Of needrestart\'s forms only these parts (for its stand-in)' -r -f -a "kernel\t'The running kernel'
microcode\t'The processor\'s microcode'
processes\t'Who runs old files'"
complete -c reexec -n "__fish_reexec_using_subcommand report" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand report" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand report" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand report" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand report" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand report" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand report" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand report" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand report" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand report" -l schema -d 'Print the JSON Schema of the answer, and look at nothing'
complete -c reexec -n "__fish_reexec_using_subcommand report" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand report" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand report" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand report" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l parts -d 'Of needrestart\'s forms only these parts (for its stand-in)' -r -f -a "kernel\t'The running kernel'
microcode\t'The processor\'s microcode'
processes\t'Who runs old files'"
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l schema -d 'Print the JSON Schema of the answer, and look at nothing'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand needs-restart" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand plan" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand plan" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand plan" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand plan" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand explain" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand explain" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand explain" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand explain" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l after-transaction -d 'Wait until packages have not been changed for a while, then act on what triggers said'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l inline -d 'Act inside the hook, while the package manager waits'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l dry-run -d 'Stop before the first step'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l now -d 'Also what waits for a window, or for a reboot'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -s i -l interactive -d 'Pick on a terminal what is done'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand apply" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand hook" -l phase -d 'Whether the files are still to be replaced' -r -f -a "pre\t'Before'
post\t'After'"
complete -c reexec -n "__fish_reexec_using_subcommand hook" -l root -d 'Folder that holds the system whose packages changed' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand hook" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand hook" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand hook" -l strict -d 'Exit with what `report` would, not always with 0'
complete -c reexec -n "__fish_reexec_using_subcommand hook" -s q -l quiet -d 'Say nothing: for a caller that reads what it does not understand'
complete -c reexec -n "__fish_reexec_using_subcommand hook" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand hook" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -l root -d 'Folder that holds the system' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -f -a "check" -d 'Find faults in the system\'s policy, or in these files'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -f -a "show" -d 'Print the merged policy'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -f -a "schema" -d 'Print a JSON Schema of policy files, for editors'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and not __fish_seen_subcommand_from check show schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from check" -l root -d 'Folder that holds the system' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from show" -l root -d 'Folder that holds the system' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from schema" -l root -d 'Folder that holds the system' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from schema" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "check" -d 'Find faults in the system\'s policy, or in these files'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the merged policy'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print a JSON Schema of policy files, for editors'
complete -c reexec -n "__fish_reexec_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c reexec -n "__fish_reexec_using_subcommand history" -s n -l number -d 'How many of them' -r
complete -c reexec -n "__fish_reexec_using_subcommand history" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand history" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand history" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand history" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand history" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand history" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand history" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand history" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand history" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand history" -l last -d 'Only the last one, in full'
complete -c reexec -n "__fish_reexec_using_subcommand history" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand history" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand history" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand history" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l manifest -d 'Files and their places: lines of NEW, a tab, and TARGET' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l attributes -d 'Whose owner, permissions and extended attributes the file gets' -r -f -a "old\t'Those of the file that stands there; of the new one where none does'
new\t'Those of the new file'"
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l mode -d 'Permissions, octal' -r
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l owner -d 'Owner, and group behind a colon; names or numbers' -r
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l sha256 -d 'The new file must have the digest that this list (of sha256sum) names for it' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l signature -d 'A minisign signature of NEW, or of the list of digests, that must be good' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l key -d 'The public key of whoever may sign' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l set -d 'Everything below the folder NEW takes its place below the folder TARGET'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l folder -d 'Exchange the folder TARGET and the folder NEW; a link TARGET is made to lead to NEW'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l recover -d 'Finish or take back what a killed call left, and do nothing else'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l follow -d 'Replace the file that a symbolic link TARGET leads to'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l undo-if-unproven -d 'Put the old file back where a unit does not come up and stay up with the new one'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l later -d 'Put in place only; the next `reexec apply` judges and acts'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l dry-run -d 'Say what would be done, and do nothing'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand replace" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand run" -s o -l output -d 'Where what is said is written to, since the command has standard output' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand run" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand run" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand run" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand run" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand run" -l dry-run -d 'Act on nothing that it replaced; say what would be done'
complete -c reexec -n "__fish_reexec_using_subcommand run" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand run" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand run" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand run" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l format -d 'Form of the answer' -r -f -a "text\t'For people'
json\t'For machines: one object, described by `reexec report --schema`'
needrestart\t'The batch lines of `needrestart -b`'
nagios\t'What `needrestart -p` prints, with a Nagios plugin\'s exit code'
openmetrics\t'For Prometheus'
dnf\t'What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one'
dnf-services\t'The same with `--services`: one line a service'
dnf-reboothint\t'The same with `--reboothint`: exit code 1 if a reboot is needed'"
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l claims -d 'Paths that were replaced, one a line; `-` for standard input' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l policy -d 'Use this policy file in the place of those in /etc/reexec' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l proc -d 'Where /proc is mounted' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l root -d 'Folder that holds the system: its policy, package database and claims' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l plugins -d 'Where the plugins are' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l mappings -d 'Where mappings are read from' -r -f -a "auto\t'The fastest that knows all that is asked for'
text\t'The text of `maps`'
query\t'`PROCMAP_QUERY`'"
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l threads -d 'How many threads look' -r
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -l all -d 'Also fresh processes and data files'
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -s q -l quiet -d 'Say nothing: the exit code is the answer'
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -s v -l verbose -d 'Say on what evidence'
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reexec -n "__fish_reexec_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l every -d 'Time between two looks when nobody asks' -r
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l jitter -d 'At most so much is added to that by chance' -r
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l gap -d 'Least time between two looks, however often somebody asks' -r
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l check -d 'Deadline of a source\'s `check`' -r
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l install -d 'Deadline of a source\'s `install`' -r
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l socket -d 'Where users ask for a look, unless the service manager passes a socket' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l root -d 'Folder that holds the sources, in etc/reexec/update.d' -r -F
complete -c reexec -n "__fish_reexec_using_subcommand watch" -l once -d 'Look once, and end'
complete -c reexec -n "__fish_reexec_using_subcommand watch" -s h -l help -d 'Print help'
complete -c reexec -n "__fish_reexec_using_subcommand watch" -s V -l version -d 'Print version'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "report" -d 'Who runs old files now (read-only)'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "plan" -d 'What apply would do, and by which rule'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "explain" -d 'The evidence, the verdict and the rule for a pid, a unit or a path'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "apply" -d 'Do what the policy says, and prove it'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "hook" -d 'Called by a package manager\'s trigger'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "policy" -d 'Check or show the policy'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "history" -d 'Past runs: what was stale, what was done, what was proven'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "replace" -d 'Put files in place so that each is whole at every instant; then judge, act and prove'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "run" -d 'Run a command that installs something; then say what it replaced and how, act and prove'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "doctor" -d 'Is everything wired, and does it work?'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "watch" -d 'The update service: asks its sources for something new, installs it, and proves it'
complete -c reexec -n "__fish_reexec_using_subcommand help; and not __fish_seen_subcommand_from report plan explain apply hook policy history replace run doctor watch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c reexec -n "__fish_reexec_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "check" -d 'Find faults in the system\'s policy, or in these files'
complete -c reexec -n "__fish_reexec_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "show" -d 'Print the merged policy'
complete -c reexec -n "__fish_reexec_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "schema" -d 'Print a JSON Schema of policy files, for editors'
