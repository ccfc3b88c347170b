// How a new image names another file.
#pragma once

#include <string>

#include "lib/io/resolver.h"

namespace platter {

// The path of target as seen from the directory of image, neither of which need exist; symbolic
// links in the way to both are resolved first. Never taken for a URL.
Result<std::string> reference_from(const std::string& image, const std::string& target);

// Errc::denied when the policy would keep whoever opens an image from following the reference.
Result<void> check_reference(std::string_view reference, References policy);

}  // namespace platter
