package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// settings gives the type of every setting that one value is given for, by name.
func settings() map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for name, t := range fieldsOf(reflect.TypeFor[Config]()) {
		if t.Kind() != reflect.Struct {
			all[name] = t
			continue
		}
		for inner, t := range fieldsOf(t) {
			if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct {
				all[name+"."+inner] = t
			}
		}
	}
	return all
}

// fieldsOf gives the types of a structure's settings by name.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	all := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		all[f.Tag.Get("koanf")] = f.Type
	}
	return all
}

// checkSettings tells what a file of settings has that is not known, mostly
// misspelt, or of another type than the setting.
func checkSettings(file map[string]any) error {
	return checkGroup("", file, reflect.TypeFor[Config]())
}

func checkGroup(at string, value any, t reflect.Type) error {
	group, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: write settings below it, such as %s", at, example(t))
	}
	known := fieldsOf(t)
	for name, v := range group {
		field, ok := known[name]
		if !ok {
			return fmt.Errorf("unknown setting %q%s", strings.TrimPrefix(at+"."+name, "."), knownText(at, known))
		}
		if err := checkSetting(strings.TrimPrefix(at+"."+name, "."), v, field); err != nil {
			return err
		}
	}
	return nil
}

func knownText(at string, known map[string]reflect.Type) string {
	names := slices.Sorted(maps.Keys(known))
	if at == "" {
		return fmt.Sprintf(" (known: %s)", strings.Join(names, ", "))
	}
	return fmt.Sprintf(" (known in %s: %s)", at, strings.Join(names, ", "))
}

// checkSetting tells what is wrong with the type of one value of the file.
func checkSetting(at string, v any, t reflect.Type) error {
	switch {
	case v == nil:
		return fmt.Errorf("%s has no value: write %s, or leave it out", at, example(t))
	case t.Kind() == reflect.Struct:
		return checkGroup(at, v, t)
	case t.Kind() == reflect.Slice:
		return checkList(at, v, t.Elem())
	case !fits(v, t):
		return fmt.Errorf("%s: %v is not right: write %s", at, v, example(t))
	}
	return nil
}

func checkList(at string, v any, of reflect.Type) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: %v is not a list: write [%s]", at, v, example(of))
	}
	for i, item := range list {
		if err := checkSetting(fmt.Sprintf("%s[%d]", at, i), item, of); err != nil {
			return err
		}
	}
	return nil
}

// fits tells whether a value that YAML gives is one of the type.
func fits(v any, t reflect.Type) bool {
	if t == reflect.TypeFor[time.Duration]() {
		s, ok := v.(string)
		_, err := time.ParseDuration(s)
		return ok && err == nil || v == 0
	}
	switch v := v.(type) {
	case string:
		return t.Kind() == reflect.String
	case bool:
		return t.Kind() == reflect.Bool
	case int:
		return t.Kind() == reflect.Int || t.Kind() == reflect.Int64 || t.Kind() == reflect.Float64 || t.Kind() == reflect.Uint64 && v >= 0
	case uint64: // beyond int
		return t.Kind() == reflect.Uint64
	case float64:
		return t.Kind() == reflect.Float64
	}
	return false
}

// example gives a value of a type, as it is written in the file.
func example(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "a duration, such as 90s or 1h"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return `a text in quotes, such as "btc_usdt"`
	case reflect.Slice:
		return "a list, such as [" + example(t.Elem()) + "]"
	case reflect.Struct:
		names := slices.Sorted(maps.Keys(fieldsOf(t)))
		return "{" + strings.Join(names, ": ..., ") + ": ...}"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
