"""Regular expressions of users: POSIX's and Perl's syntax, over bytes, in linear time."""
