// What auto_unmount needs of this program: fusermount3 waits at a socket for its end, and then
// looks whether the mount is dead.
#pragma once

#include <set>

namespace platter::fusefs {

// The sockets this program has open, by number.
std::set<int> open_sockets();

// Those that are not among before get high numbers. A killed program's descriptors are closed in
// the order of their numbers: with its socket closed before the connection, fusermount3 would find
// a mount that is not dead yet, and leave it.
void close_last(const std::set<int>& before);

}  // namespace platter::fusefs
