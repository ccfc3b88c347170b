// What a mount shows, made from its options.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fusefs/gallery.h"
#include "fusefs/options.h"

namespace platter::fusefs {

struct Made {
  std::unique_ptr<Gallery> gallery;
  std::vector<std::string> remarks;  // for who mounts, a line each
};

// One image is open when it returns; of several nothing is. What it reads from standard input or a
// descriptor it has read, and no name in it depends on the working directory any more.
Result<Made> make_gallery(const MountOptions& options);

}  // namespace platter::fusefs
