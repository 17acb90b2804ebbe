#!/bin/sh
export HELLO_FROM="hello.sif"
