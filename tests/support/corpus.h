// Where the corpus of real images is: $PLATTER_CORPUS, or shared/corpus beside the source tree.
#pragma once

#include <optional>
#include <string>

namespace platter::test {

// The path of one of its files, "vdi/x.vdi"; empty when there is no corpus.
std::optional<std::string> corpus_file(const std::string& name);

}  // namespace platter::test
