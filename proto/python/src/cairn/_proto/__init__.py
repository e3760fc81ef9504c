"""The suggestion service's wire, generated from `proto/cairn/v1/search.proto` and committed; a test compares them."""
