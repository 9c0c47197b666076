package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
)

// reloadOnHangup reloads at SIGHUP until the function that it returns is called.
func (s *service) reloadOnHangup() (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangup {
			if err := s.reload(context.Background(), false); err != nil {
				s.logger.Error("reload refused; what was in force there stays", "error", err)
			}
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(hangup)
		<-done
	}
}

// reload reads the configuration and the scripts again. The log level and the scripts' contents take
// effect; other changes are named and wait for a restart. It ends early when the service stops: a script that is being tried
// keeps nobody waiting. force is for scripts that were rolled back or did badly in the shadow.
func (s *service) reload(ctx context.Context, force bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	cfg, err := s.load()
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range s.cfg.scriptKeys() { // each for itself: one that is refused keeps no other from being taken
		if err := s.scripts[key].Reload(ctx, force); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.cfg.scriptName(key), err))
		}
	}
	s.level.Set(logLevel(cfg.Log.Level))
	if waiting := changedKeys(s.cfg, cfg); len(waiting) > 0 {
		s.logger.Warn("these settings changed and take effect at the next start", "keys", strings.Join(waiting, " "))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.logger.Info("reloaded", "scripts", len(s.scripts), "log_level", cfg.Log.Level)
	return nil
}

// changedKeys lists the settings that differ between two configurations and cannot change while the
// service runs.
func changedKeys(old, now *Config) []string {
	var changed []string
	for _, k := range configKeys {
		if k.path == "log.level" || strings.HasPrefix(k.path, streamsPrefix) {
			continue
		}
		if !reflect.DeepEqual(old.value(k.path).Interface(), now.value(k.path).Interface()) {
			changed = append(changed, k.path)
		}
	}
	if !reflect.DeepEqual(old.Streams, now.Streams) {
		changed = append(changed, "streams")
	}
	return changed
}
