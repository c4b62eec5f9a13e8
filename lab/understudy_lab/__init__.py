# SPDX-License-Identifier: Apache-2.0
"""The lab: a whole chassis on one Linux machine.

topology      names, ports and addresses of a chassis with N actives: plain values, nothing is touched
state         what a lab has made, written down before it is made, so that `down` works after any crash
processes     identity of a process (id and start time), finding and ending those of a lab
namespaces    network namespaces, bridges, veth pairs, addresses
switch        which switch ports are silent (powered off) or cut
blades        blades as process trees: start, stop at once, freeze, thaw, reboot
bmcs          a simulated BMC for each blade
config_files  group.toml, blade.toml, a role's rule set
waiting       for a condition, with a deadline
interrupts    Ctrl-C, SIGTERM, SIGHUP: the first ends a command in order, none breaks its cleaning up off
guests        the mirrors' kernel and image, a shell inside a mirror
daemons       control-server, its command line tool, waiting until every role is protected
lab           up and down, in order
cli           the commands
"""
