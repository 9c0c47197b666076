//go:build !linux

package load

import (
	"context"
	"errors"
)

// Run needs Linux: the loop is built on epoll.
func Run(context.Context, Plan) (*Result, error) {
	return nil, errors.New("the load generator needs Linux")
}

// MaxConnections is 0 where Run does not work.
func MaxConnections() int { return 0 }
