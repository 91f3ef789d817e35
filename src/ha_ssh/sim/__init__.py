"""A Home Assistant that is not there: real loopback servers over one pure house."""
